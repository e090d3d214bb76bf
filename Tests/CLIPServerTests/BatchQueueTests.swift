import Testing

@testable import CLIPServer

@Suite struct BatchQueueTests {
    private struct BadInput: Error, Equatable { let input: Int }

    /// A queue whose vectors are `[input, input + 1]`; its batches wait for a gate.
    private final class Fixture: Sendable {
        let gate = Gate()
        let batches = Log<[Int]>()
        let queue: BatchQueue<Int>

        init(capacity: Int = 100, largestBatch: Int = 8, bad: Set<Int> = []) {
            let (gate, batches) = (gate, batches)
            queue = BatchQueue(
                capacity: capacity, largestBatch: largestBatch, tower: .text, metrics: Metrics()
            ) { inputs in
                batches.append(inputs)
                gate.wait()
                if let input = inputs.first(where: bad.contains) { throw BadInput(input: input) }
                return inputs.map { [Float($0), Float($0 + 1)] }
            }
        }

        func encode(_ inputs: [Int]) async throws -> [[Float]] {
            try await queue.encode(inputs.count) { Array(inputs[$0]) }
        }

        func start(_ inputs: [Int]) -> Task<[[Float]], any Error> {
            Task { try await encode(inputs) }
        }

        /// Starts requests one after the other, the first of which occupies the thread.
        func startAll(_ requests: [[Int]]) async throws -> [Task<[[Float]], any Error>] {
            var tasks = [start(requests[0])]
            try await eventually { batches.elements.count == 1 }
            var count = queue.count
            for request in requests.dropFirst() {
                tasks.append(start(request))
                count += request.count
                try await eventually { queue.count == count }
            }
            return tasks
        }
    }

    private func vectors(_ inputs: [Int]) -> [[Float]] {
        inputs.map { [Float($0), Float($0 + 1)] }
    }

    @Test func waitingInputsOfAllRequestsShareBatchesInOrder() async throws {
        let fixture = Fixture(largestBatch: 4)
        let requests = [[0], [1, 2, 3], [4], [5, 6, 7, 8], [9]]
        let tasks = try await fixture.startAll(requests)
        fixture.gate.open()
        for (request, task) in zip(requests, tasks) {
            #expect(try await task.value == vectors(request))
        }
        #expect(fixture.batches.elements == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9]])
        #expect(fixture.queue.count == 0)
    }

    @Test func emptyRequestIsAnsweredAtOnce() async throws {
        #expect(try await Fixture().encode([]) == [])
    }

    @Test func fullQueueRefusesTheWholeRequest() async throws {
        let fixture = Fixture(capacity: 4)
        let tasks = try await fixture.startAll([[0], [1, 2, 3]])
        let error = await requestError { _ = try await fixture.encode([4, 5]) }
        #expect(error == .busy && error?.status == 429 && error?.retryAfter == 1)
        #expect(fixture.queue.count == 3)
        let last = fixture.start([6])
        try await eventually { fixture.queue.count == 4 }
        fixture.gate.open()
        for task in tasks { _ = try await task.value }
        #expect(try await last.value == vectors([6]))
    }

    @Test func requestBeyondTheCapacityEntersInPieces() async throws {
        let fixture = Fixture(capacity: 2)
        let task = fixture.start(Array(0..<7))
        try await eventually { fixture.batches.elements.count == 1 }
        // Its places stay reserved between two pieces.
        #expect(fixture.queue.count == 2)
        #expect(await requestError { _ = try await fixture.encode([9]) } == .busy)
        fixture.gate.open()
        #expect(try await task.value == vectors(Array(0..<7)))
        #expect(fixture.batches.elements.allSatisfy { $0.count <= 2 })
        #expect(fixture.queue.count == 0)
    }

    @Test func largeRequestLeavesPlacesToOthers() async throws {
        let fixture = Fixture(capacity: 100)
        let large = fixture.start(Array(0..<1000))
        try await eventually { fixture.batches.elements.count == 1 }
        #expect(fixture.queue.count == 25)
        let small = (0..<75).map { number in fixture.start([2000 + number]) }
        try await eventually { fixture.queue.count == 100 }
        #expect(await requestError { _ = try await fixture.encode([1]) } == .busy)
        fixture.gate.open()
        for (number, task) in small.enumerated() {
            #expect(try await task.value == vectors([2000 + number]))
        }
        #expect(try await large.value == vectors(Array(0..<1000)))
        #expect(fixture.queue.count == 0)
    }

    @Test func failureOfAnyPieceFreesItsPlaces() async throws {
        for bad in [1, 30, 99] {
            let fixture = Fixture(capacity: 40, bad: [bad])
            fixture.gate.open()
            await #expect(throws: BadInput(input: bad)) {
                try await fixture.encode(Array(0..<100))
            }
            #expect(fixture.queue.count == 0)
            await #expect(throws: BadInput(input: bad)) {
                try await fixture.queue.encode(100) { piece in
                    if piece.contains(bad) { throw BadInput(input: bad) }
                    return piece.map { $0 + 1000 }
                }
            }
            #expect(fixture.queue.count == 0)
        }
    }

    @Test func cancellationOfAPieceFreesItsPlaces() async throws {
        let fixture = Fixture(capacity: 40, largestBatch: 4)
        let tasks = try await fixture.startAll([[0]])
        let large = fixture.start(Array(100..<200))
        try await eventually { fixture.queue.count == 10 }
        large.cancel()
        await #expect(throws: CancellationError.self) { try await large.value }
        #expect(fixture.queue.count == 0)
        fixture.gate.open()
        #expect(try await tasks[0].value == vectors([0]))
    }

    @Test func fullQueueCostsNoPreparation() async throws {
        let fixture = Fixture(capacity: 1)
        let tasks = try await fixture.startAll([[0], [1]])
        let error = await requestError {
            _ = try await fixture.queue.encode(1) { _ in
                Issue.record("the inputs were prepared")
                return [2]
            }
        }
        #expect(error == .busy)
        fixture.gate.open()
        for task in tasks { _ = try await task.value }
    }

    @Test func failedPreparationFreesItsPlaces() async throws {
        let fixture = Fixture(capacity: 1)
        for _ in 0..<3 {
            await #expect(throws: BadInput(input: 1)) {
                try await fixture.queue.encode(1) { _ in throw BadInput(input: 1) }
            }
        }
        #expect(fixture.queue.count == 0)
    }

    @Test func cancellationRemovesWaitingInputsAtOnce() async throws {
        let fixture = Fixture()
        let tasks = try await fixture.startAll([[0], [1, 2, 3], [4]])
        tasks[1].cancel()
        await #expect(throws: CancellationError.self) { try await tasks[1].value }
        #expect(fixture.queue.count == 1)
        fixture.gate.open()
        #expect(try await tasks[0].value == vectors([0]))
        #expect(try await tasks[2].value == vectors([4]))
        #expect(fixture.batches.elements == [[0], [4]])
    }

    @Test func cancelledRequestDoesNotWaitForItsBatch() async throws {
        let fixture = Fixture()
        let tasks = try await fixture.startAll([[0], [1]])
        tasks[0].cancel()
        await #expect(throws: CancellationError.self) { try await tasks[0].value }
        fixture.gate.open()
        #expect(try await tasks[1].value == vectors([1]))
    }

    @Test func requestOfCancelledTaskIsNotQueued() async throws {
        let fixture = Fixture()
        let task = Task {
            try await fixture.queue.encode(1) { _ in
                withUnsafeCurrentTask { $0?.cancel() }
                return [1]
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(fixture.queue.count == 0 && fixture.batches.elements.isEmpty)
    }

    @Test func onlyTheGuiltyRequestFails() async throws {
        let fixture = Fixture(bad: [3, 6])
        let requests = [[0], [1, 2], [3, 4], [5], [6]]
        let tasks = try await fixture.startAll(requests)
        fixture.gate.open()
        #expect(try await tasks[1].value == vectors([1, 2]))
        await #expect(throws: BadInput(input: 3)) { try await tasks[2].value }
        #expect(try await tasks[3].value == vectors([5]))
        await #expect(throws: BadInput(input: 6)) { try await tasks[4].value }
    }

    @Test func failureRemovesTheRestOfItsRequest() async throws {
        let fixture = Fixture(largestBatch: 2, bad: [1])
        let tasks = try await fixture.startAll([[0], [1, 2, 3, 4], [5]])
        fixture.gate.open()
        await #expect(throws: BadInput(input: 1)) { try await tasks[1].value }
        #expect(try await tasks[2].value == vectors([5]))
        #expect(!fixture.batches.elements.contains { $0.contains(4) })
    }

    @Test func closedQueueFailsWaitingAndLaterRequests() async throws {
        let fixture = Fixture()
        let tasks = try await fixture.startAll([[0], [1, 2]])
        fixture.queue.close()
        #expect(await requestError { _ = try await tasks[1].value }?.status == 503)
        #expect(await requestError { _ = try await fixture.encode([3]) }?.status == 503)
        fixture.gate.open()
        #expect(try await tasks[0].value == vectors([0]))
    }

    @Test func threadEndsWhenNothingWaits() async throws {
        weak var queue: BatchQueue<Int>?
        do {
            let fixture = Fixture()
            fixture.gate.open()
            _ = try await fixture.encode([1, 2])
            _ = try await fixture.encode([3])
            queue = fixture.queue
        }
        // The thread holds the queue.
        try await eventually { queue == nil }
    }

    @Test func manyTasksWithCancellationsGetTheirOwnVectors() async throws {
        let fixture = Fixture(capacity: 10_000)
        fixture.gate.open()
        let answered = await withTaskGroup(of: Int.self) { group in
            for number in 0..<300 {
                let inputs = Array((number * 10)..<(number * 10 + 1 + number % 7))
                let task = fixture.start(inputs)
                if number % 3 == 0 { task.cancel() }
                group.addTask {
                    do {
                        let found = try await task.value
                        #expect(found == inputs.map { [Float($0), Float($0 + 1)] })
                        return 1
                    } catch {
                        #expect(error is CancellationError && number % 3 == 0)
                        return 0
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(answered >= 200)
        #expect(fixture.queue.count == 0)
    }
}
