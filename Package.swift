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
        .library(name: "CLIPAnalysis", targets: ["CLIPAnalysis"]),
        .library(name: "CLIPServer", targets: ["CLIPServer"]),
        .executable(name: "clip", targets: ["ClipCommand"]),
    ],
    traits: [
        .trait(name: "WebP", description: "Reads WebP images, by libwebp."),
        .trait(name: "BLAS", description: "Offers matrix products by OpenBLAS or Accelerate."),
        .trait(name: "Foundation", description: "Takes URL and Data, and describes errors for it."),
        .default(enabledTraits: ["WebP", "BLAS", "Foundation"]),
    ],
    dependencies: [
        // Subcommands, options, help and shell completions of `clip`; the library does not use it.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
        // Sockets, event loops and the HTTP parser of `clip serve`; the other libraries do without.
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    ],
    targets: [
        // The command.
        .executableTarget(
            name: "ClipCommand",
            dependencies: [
                "CLIPServer", "CLIPAnalysis", "CLIPSearch", "CLIPHub", "CLIP", "TensorFiles",
                "Images", "Tensors", "Files", "CBundledModel", "CPages", "CVersion",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        // The weights of `tiny`, compiled into the command; the library does without.
        .target(name: "CBundledModel"),
        // The frames, styles and scripts of the pages that the command writes, compiled in.
        .target(
            name: "CPages",
            exclude: [
                "page.html", "page.css", "map.html", "map.css", "map.js", "heatmap.css",
                "table.css", "eval.css",
            ]),
        // The commit that is built, which changes with every build: a target of its own.
        .target(name: "CVersion", cSettings: [.define("CLIP_COMMIT", to: "\"\(commit)\"")]),

        // The HTTP server and its page.
        .target(
            name: "CLIPServer",
            dependencies: [
                "CLIPSearch", "CLIPHub", "CLIP", "Files", "CServerFiles",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]),
        // The page of the server and the description of its endpoints, compiled in.
        .target(
            name: "CServerFiles",
            exclude: [
                "page.html", "page.css", "page.js", "page-tools.js", "page-search.js",
                "page-results.js", "page-zeroshot.js", "openapi.json",
            ]),

        // Clusters, maps, duplicates and scores of embeddings.
        .target(name: "CLIPAnalysis", dependencies: ["CLIP", "Tensors", "Files"]),

        // Collections of images and texts, the files of their embeddings, and indexes to search them.
        .target(
            name: "CLIPSearch", dependencies: ["CLIP", "Images", "Tensors", "Files", "CSQLite"]),
        .systemLibrary(
            name: "CSQLite", pkgConfig: "sqlite3",
            providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite"])]),

        // The registry of models and their download; the only requests to other servers.
        .target(name: "CLIPHub", dependencies: ["CLIP", "Files", "CHTTP", "CModelRegistry"]),
        // HTTP by libcurl, of which only the header is needed to build: it is loaded when it is first used.
        .target(name: "CHTTP"),
        // The models that are known, compiled in.
        .target(name: "CModelRegistry", exclude: ["models.json", "answers.json"]),

        // The model: text or pixels in, embeddings out.
        .target(
            name: "CLIP", dependencies: ["Tokenizers", "TensorFiles", "Images", "Tensors", "Files"]),

        // Text repair, CLIP's BPE and SentencePiece: text in, token ids out.
        .target(name: "Tokenizers", dependencies: ["Files", "CVocabulary"]),
        // CLIP's vocabulary and the tables of text repair, compiled in.
        .target(
            name: "CVocabulary",
            exclude: ["merges.bin", "entities.bin", "mojibake.bin", "composition.bin"]),

        // Safetensors and PyTorch archives: a file in, named tensors out.
        .target(name: "TensorFiles", dependencies: ["Tensors", "Files"]),

        // Decoding, orientation and Pillow's resampling: the bytes of a file to pixels.
        .target(name: "Images", dependencies: ["CImageCodecs", "CKernels"]),
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

        // Matrices and their operations, and the engines that multiply them.
        .target(name: "Tensors", dependencies: ["Files", "CKernels", "CThreads", "CBLAS"]),
        // Products by OpenBLAS, of which only the header is needed to build: it is loaded when it is first used.
        .target(
            name: "CBLAS", cSettings: [.define("CLIP_BLAS", .when(traits: ["BLAS"]))],
            linkerSettings: [
                .linkedFramework(
                    "Accelerate", .when(platforms: [.macOS, .iOS, .tvOS, .watchOS, .visionOS]))
            ]),
        // Loops and products, one file and one table of functions per instruction set.
        .target(name: "CKernels"),
        // The team of threads that runs the parts of a loop.
        .target(name: "CThreads"),

        // Paths, mapped files, atomic writes, growing files, locks, folder listing, SHA-256, JSON.
        .target(name: "Files", dependencies: ["CSHA256", "CFiles"]),
        .target(name: "CSHA256"),
        // System calls that Swift cannot make by itself.
        .target(name: "CFiles"),

        // The two programs of Examples/, which the tests run.
        .executableTarget(
            name: "SearchFolder", dependencies: ["CLIP", "CLIPHub", "CLIPSearch"],
            path: "Examples/SearchFolder"),
        .executableTarget(
            name: "EncodeImages", dependencies: ["CLIP"], path: "Examples/EncodeImages"),

        .target(
            name: "TestSupport", dependencies: ["CLIP", "Tensors", "Files"],
            path: "Tests/TestSupport"),
        .testTarget(name: "FilesTests", dependencies: ["Files", "CSHA256", "TestSupport"]),
        .testTarget(
            name: "TensorsTests",
            dependencies: ["Tensors", "Files", "CKernels", "CThreads", "TestSupport"]),
        .testTarget(
            name: "ImagesTests", dependencies: ["CLIP", "Images", "Files", "TestSupport"]),
        .testTarget(
            name: "TokenizersTests",
            dependencies: ["CLIP", "Tokenizers", "Files", "CVocabulary", "TestSupport"]
        ),
        .testTarget(
            name: "CLIPTests",
            dependencies: ["CLIP", "Tokenizers", "TensorFiles", "Tensors", "Files", "TestSupport"]),
        .testTarget(
            name: "CLIPHubTests", dependencies: ["CLIPHub", "CLIP", "Files", "TestSupport"]),
        .testTarget(
            name: "CLIPSearchTests",
            dependencies: [
                "CLIPSearch", "CLIPAnalysis", "CLIP", "Tensors", "Files", "TestSupport",
            ]),
        .testTarget(
            name: "CLIPAnalysisTests",
            dependencies: [
                "CLIPAnalysis", "CLIPSearch", "CLIP", "Images", "Tensors", "Files", "TestSupport",
            ]),
        .testTarget(
            name: "ParityTests", dependencies: ["CLIP", "TensorFiles", "Tensors", "TestSupport"]),
        .testTarget(
            name: "CLIPServerTests",
            dependencies: [
                "CLIPServer", "CLIPSearch", "CLIPHub", "CLIP", "Files", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .testTarget(
            name: "ClipCommandTests",
            dependencies: [
                "ClipCommand", "CLIPAnalysis", "CLIPSearch", "CLIP", "Files", "CPages",
                "TestSupport",
            ]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c17
)
