// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that users of the library never build it.
let package = Package(
    name: "Fuzz",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "swift-clip", path: "../..")],
    targets: [
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                .product(name: "CLIP", package: "swift-clip"),
                .product(name: "CLIPSearch", package: "swift-clip"),
                .product(name: "CLIPServer", package: "swift-clip"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
