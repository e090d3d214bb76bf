import CLIP
import Foundation
import Synchronization
import Testing

@testable import CLIPAnalysis

/// The shape that all analyses share: errors, progress and cancellation.
@Suite struct AnalysisShapeTests {
    private let vectors = Embeddings(
        rows: (0..<4000).map { Float(($0 * 7919) % 101) - 50 }, dimension: 20)

    private func error(_ body: () throws -> Void) -> AnalysisError? {
        do {
            try body()
            return nil
        } catch {
            return error as? AnalysisError
        }
    }

    @Test func inputsAndOptionsOutOfRangeAreErrors() {
        let none = Embeddings(rows: [], dimension: 20)
        let row = Embeddings(rows: [1, 2], dimension: 2)
        #expect(
            error { _ = try SphericalKMeans(clusters: 1).run(on: none) }
                == .tooFewVectors(expected: 1, found: 0))
        for clusters in [-1, 0, 201] {
            #expect(
                error { _ = try SphericalKMeans(clusters: clusters).run(on: vectors) }
                    == .invalidOption(
                        name: "clusters", found: "\(clusters)", expected: "1 to 200"))
        }
        #expect(
            error { _ = try SphericalKMeans(clusters: 2, swaps: -1).run(on: vectors) }
                == .invalidOption(name: "swaps", found: "-1", expected: "0 or more"))
        #expect(
            error { _ = try PrincipalComponents(count: 1).run(on: row) }
                == .tooFewVectors(expected: 2, found: 1))
        #expect(
            error { _ = try PrincipalComponents(count: 21).run(on: vectors) }
                == .invalidOption(name: "count", found: "21", expected: "1 to 20"))
        #expect(
            error { _ = try TSNE(perplexity: .nan).run(on: vectors) }
                == .invalidOption(name: "perplexity", found: "nan", expected: "more than 0"))
        #expect(
            error { _ = try TSNE(iterations: -1).run(on: vectors) }
                == .invalidOption(name: "iterations", found: "-1", expected: "0 or more"))
    }

    @Test func messagesNameWhatWasExpectedAndFound() {
        for (error, message) in [
            (
                .invalidOption(name: "clusters", found: "12", expected: "1 to 9"),
                "invalid clusters: expected 1 to 9, found 12"
            ),
            (
                .tooFewVectors(expected: 2, found: 1),
                "too few vectors: expected at least 2, found 1"
            ),
            (
                .wrongCount(of: "texts", expected: 3, found: 2),
                "expected 3 texts, one for each vector, found 2"
            ),
        ] as [(AnalysisError, String)] {
            #expect(error.description == message)
            #if Foundation
                #expect(error.localizedDescription == message)
            #endif
        }
    }

    @Test func preferencesThatAreNoOrderAreErrors() {
        let three = Embeddings(rows: [1, 2, 3], dimension: 1)
        for (preference, expected) in [
            ([0, 1], .wrongCount(of: "preferred rows", expected: 3, found: 2)),
            ([0, 1, 3], .invalidPreference(row: 3)), ([0, 1, 1], .invalidPreference(row: 1)),
            ([0, 1, -1], .invalidPreference(row: -1)), ([2, 0, 1], nil),
        ] as [([Int], AnalysisError?)] {
            #expect(
                error { _ = try NearDuplicates(preference: preference).run(on: three) } == expected)
            let images = DuplicateSearch.Input(embeddings: three, digests: [[], [], []]) { _ in nil
            }
            #expect(
                error { _ = try DuplicateSearch(preference: preference).run(on: images) }
                    == expected)
        }
        let images = DuplicateSearch.Input(embeddings: three, digests: [[]]) { _ in nil }
        #expect(
            error { _ = try DuplicateSearch().run(on: images) }
                == .wrongCount(of: "digests", expected: 3, found: 1))
    }

    @Test func pairsThatDoNotMatchAreErrors() {
        let evaluation = PairEvaluation(logitScale: 100)
        let (two, one) = (
            Embeddings(rows: [1, 2, 3, 4], dimension: 2), Embeddings(rows: [1, 2], dimension: 2)
        )
        #expect(
            error { _ = try evaluation.run(on: .init(images: two, texts: one)) }
                == .wrongCount(of: "texts", expected: 2, found: 1))
        let other = Embeddings(rows: [1, 2], dimension: 1)
        #expect(
            error { _ = try evaluation.run(on: .init(images: two, texts: other)) }
                == .wrongDimension(expected: 2, found: 1))
        // The rank of a cosine that is NaN would be better than the first.
        let bad = Embeddings(rows: [1, 2, 3, .nan], dimension: 2)
        #expect(
            error { _ = try evaluation.run(on: .init(images: bad, texts: two)) }
                == .notFinite(of: "vector of image 1", index: 1, found: "nan"))
        #expect(
            error { _ = try evaluation.run(on: .init(images: two, texts: bad)) }
                == .notFinite(of: "vector of text 1", index: 1, found: "nan"))
    }

    /// Runs an analysis in all ways: to the end, with progress, stopped at each report, and
    /// asynchronously.
    private func check<Kind: Analysis>(_ analysis: Kind, _ input: Kind.Input) async throws {
        func run(_ progress: (Double) -> Bool) throws(AnalysisError) -> Kind.Result {
            try analysis.run(on: input, progress: progress)
        }
        var shares: [Double] = []
        let result = try run {
            shares.append($0)
            return true
        }
        #expect(!shares.isEmpty && shares == shares.sorted(), "\(Kind.self): \(shares)")
        #expect(shares.allSatisfy { (0...1).contains($0) }, "\(Kind.self): \(shares)")
        for stop in Set([0, shares.count / 2, shares.count - 1]) {
            var reports = 0
            #expect(throws: AnalysisError.cancelled, "\(Kind.self), report \(stop)") {
                try run { _ in
                    reports += 1
                    return reports <= stop
                }
            }
            #expect(reports == stop + 1, "\(Kind.self)")
        }
        let again = try await analysis.run(on: input)
        #expect(again == result, "\(Kind.self)")
        await #expect(throws: AnalysisError.cancelled) {
            try await analysis.run(on: input) { _ in false }
        }
        let started = Mutex(false)
        let release = Mutex(false)
        let task = Task {
            try await analysis.run(on: input) { _ in
                started.withLock { $0 = true }
                while !release.withLock(\.self) {}
                return true
            }
        }
        while !started.withLock(\.self) { await Task.yield() }
        task.cancel()
        release.withLock { $0 = true }
        await #expect(throws: CancellationError.self, "\(Kind.self)") { try await task.value }
    }

    @Test(.timeLimit(.minutes(15))) func progressAndCancellationAreAlike() async throws {
        try await check(SphericalKMeans(clusters: 5, swaps: 4), vectors)
        try await check(PrincipalComponents(count: 3), vectors)
        try await check(TSNE(iterations: 40), vectors)
        try await check(NearDuplicates(threshold: 0.9), vectors)
        try await check(PairEvaluation(logitScale: 10), .init(images: vectors, texts: vectors))
        let pairs = PairEvaluation.Input(images: vectors, texts: vectors)
        try await check(ContrastiveLoss(logitScale: 0.01), pairs)
        try await check(SigmoidLoss(logitScale: 0.01, logitBias: -1), pairs)
        try await check(
            RetrievalMetrics(),
            .init(images: vectors, texts: vectors, imageOfText: Array(0..<200)))
        let examples = try LabelledVectors(
            vectors, labels: (0..<200).map { $0 % 3 }, classCount: 3)
        try await check(LinearProbe(), examples)
        let texts = Embeddings(rows: Array(vectors.values.prefix(60)), dimension: 20)
        try await check(ZeroShotLinearProbe(labelEmbeddings: texts), examples)
        let images = DuplicateSearch.Input(
            embeddings: vectors, digests: (0..<200).map { [UInt8](repeating: UInt8($0), count: 32) }
        ) { _ in nil }
        try await check(DuplicateSearch(threshold: 0.5), images)
    }
}
