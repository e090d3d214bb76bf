# A Homebrew formula that builds clip from source.
#
# Replace the two addresses with those of the repository, and sha256 with that of the source archive
# of the release (`git archive --format=tar.gz --prefix=swift-clip-0.1.0/ v0.1.0 | sha256sum`).
class Clip < Formula
  desc "Search, classify and compare images and texts with CLIP models"
  homepage "https://example.com/swift-clip"
  url "https://example.com/swift-clip/archive/v0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "MIT"
  head "https://example.com/swift-clip.git", branch: "main"

  depends_on "pkgconf" => :build
  depends_on xcode: ["26.0", :build]
  depends_on "jpeg-turbo"
  depends_on "libpng"
  depends_on macos: :sequoia
  depends_on "webp"

  uses_from_macos "python" => :build
  uses_from_macos "swift" => :build
  uses_from_macos "curl"
  uses_from_macos "sqlite"
  uses_from_macos "zlib"

  on_linux do
    depends_on "openblas"
  end

  def install
    arguments = %w[--configuration release --product clip --disable-sandbox]
    arguments << "--static-swift-stdlib" if OS.linux?
    cp "Scripts/packaging/dependencies.json", "Package.resolved"
    system "swift", "build", *arguments
    bin.install ".build/release/clip"
    mkdir "manuals"
    system "python3", "Scripts/manuals.py", bin/"clip", "manuals"
    man1.install Dir["manuals/*.1"]
    generate_completions_from_executable(bin/"clip", "--generate-completion-script")
    doc.install "NOTICE", "CHANGELOG.md"
  end

  def caveats
    <<~EOS
      HEIC, AVIF, JPEG XL and TIFF images and colour profiles need
        brew install libheif jpeg-xl libtiff little-cms2
      Models stay in ~/.cache/clip and ~/.cache/huggingface, and indexes in folders
      .clip-index, when clip is uninstalled.
    EOS
  end

  test do
    assert_match "clip #{version}", shell_output("#{bin}/clip --version")
    image = test_fixtures("test.jpg")
    output = shell_output("#{bin}/clip zeroshot --model tiny #{image} 'a dog' 'a cat'")
    assert_match "a dog", output
  end
end
