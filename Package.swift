// swift-tools-version: 6.2
import PackageDescription

// Set by the scripts: Context.gitInformation is cached with the manifest, and would name an older commit.
let commit = Context.environment["CLIP_COMMIT"] ?? ""

let package = Package(
    name: "swift-clip",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "CLIP", targets: ["CLIP"]),
        .library(name: "CLIPHub", targets: ["CLIPHub"]),
        .library(name: "CLIPSearch", targets: ["CLIPSearch"]),
        // For Benchmarks/ alone, which measures the kernels by themselves.
        .library(name: "CKernels", targets: ["CKernels"]),
        .executable(name: "clip", targets: ["ClipCommand"]),
    ],
    traits: [
        .trait(name: "WebP", description: "Reads WebP images, by libwebp."),
        .trait(name: "BLAS", description: "Offers matrix products by OpenBLAS or Accelerate."),
        .default(enabledTraits: ["WebP", "BLAS"]),
    ],
    dependencies: [
        // Subcommands, options, help and shell completions of `clip`; the library does not use it.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0")
    ],
    targets: [
        // The library: text or pixels in, embeddings out.
        .target(name: "CLIP", dependencies: ["Tensors", "ImageCodecs", "CVocabulary"]),

        // The command.
        .executableTarget(
            name: "ClipCommand",
            dependencies: [
                "CLIP", "CLIPHub", "CLIPSearch", "ImageCodecs", "CBundledModel", "CPages",
                "CVersion",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        // Which models there are, and how to get them; the only networking.
        .target(name: "CLIPHub", dependencies: ["CLIP", "Tensors", "CHTTP", "CModelRegistry"]),

        // Collections of pictures and texts, and the files of their embeddings.
        .target(name: "CLIPSearch", dependencies: ["CLIP", "Tensors", "ImageCodecs", "CSQLite"]),
        .systemLibrary(
            name: "CSQLite", pkgConfig: "sqlite3",
            providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite"])]),

        // HTTP by libcurl, of which only the header is needed to build: it is loaded when it is first used.
        .target(name: "CHTTP"),

        // The commit that is built, which changes with every build: a target of its own.
        .target(name: "CVersion", cSettings: [.define("CLIP_COMMIT", to: "\"\(commit)\"")]),

        // The models that are known, compiled in.
        .target(name: "CModelRegistry", exclude: ["models.json", "answers.json"]),

        // The weights of `tiny`, compiled into the command; the library does without.
        .target(name: "CBundledModel"),

        // The frames, styles and scripts of the pages that the command writes, compiled in.
        .target(
            name: "CPages",
            exclude: [
                "page.html", "page.css", "map.html", "map.css", "map.js", "heatmap.css",
                "table.css",
            ]),

        // Numbers: buffers, mapped files, every operation. The library's only Swift with pointers, beside codecs.
        .target(name: "Tensors", dependencies: ["CKernels", "CBLAS"]),
        .target(name: "CKernels"),

        // Products by OpenBLAS, of which only the header is needed to build: it is loaded when it is first used.
        .target(
            name: "CBLAS", cSettings: [.define("CLIP_BLAS", .when(traits: ["BLAS"]))],
            linkerSettings: [
                .linkedFramework(
                    "Accelerate", .when(platforms: [.macOS, .iOS, .tvOS, .watchOS, .visionOS]))
            ]),

        // Pictures: the bytes of a file to 8-bit RGB.
        .target(name: "ImageCodecs", dependencies: ["CImageCodecs"]),
        .target(
            name: "CImageCodecs",
            dependencies: [
                "CPNG", "CJPEG", .target(name: "CWebP", condition: .when(traits: ["WebP"])),
            ],
            cSettings: [.define("CLIP_WEBP", .when(traits: ["WebP"]))],
            linkerSettings: [.linkedLibrary("z")]),  // of texts in PNG; libpng needs it too
        .systemLibrary(
            name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"]), .brew(["libpng"])]),
        .systemLibrary(
            name: "CJPEG", pkgConfig: "libjpeg",
            providers: [.apt(["libjpeg-dev"]), .brew(["jpeg-turbo"])]),
        .systemLibrary(
            name: "CWebP", pkgConfig: "libwebpdemux",
            providers: [.apt(["libwebp-dev"]), .brew(["webp"])]),

        // CLIP's vocabulary and the tables of text repair, compiled in.
        .target(
            name: "CVocabulary",
            exclude: ["merges.bin", "entities.bin", "mojibake.bin", "composition.bin"]),

        .target(
            name: "TestSupport", dependencies: ["CLIP", "Tensors"], path: "Tests/TestSupport"),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors", "CKernels", "TestSupport"]),
        .testTarget(
            name: "ImageCodecsTests", dependencies: ["CLIP", "ImageCodecs", "TestSupport"]),
        .testTarget(
            name: "CLIPTests", dependencies: ["CLIP", "Tensors", "CVocabulary", "TestSupport"]),
        .testTarget(name: "CLIPHubTests", dependencies: ["CLIPHub", "CLIP", "TestSupport"]),
        .testTarget(
            name: "CLIPSearchTests", dependencies: ["CLIPSearch", "CLIP", "Tensors", "TestSupport"]),
        .testTarget(name: "ParityTests", dependencies: ["CLIP", "Tensors", "TestSupport"]),
        .testTarget(
            name: "ClipCommandTests",
            dependencies: ["ClipCommand", "CLIP", "CLIPSearch", "CPages", "TestSupport"]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c17
)
