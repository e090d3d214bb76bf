import CLIPHub

/// Published zero-shot results of pretrained models, with which `clip eval --compare` compares.
///
/// Source: open_clip, `docs/openclip_results.csv` and `docs/openclip_retrieval_results.csv`, which
/// were measured by the DataComp evaluation.
enum PublishedResults {
    static let source = "open_clip's docs/openclip_results.csv and openclip_retrieval_results.csv"

    /// Returns the published values of a model on a data set, 0...1, by metric.
    ///
    /// - Parameters:
    ///   - model: A name or alias of the registry.
    ///   - dataset: A name of CLIP_benchmark, such as `wds/imagenetv2`.
    /// - Returns: The values; empty if none is known.
    static func results(model: String, dataset: String) -> [String: Double] {
        guard let known = HubModel.named(model) else { return [:] }
        let set = canonical(dataset)
        var results: [String: Double] = [:]
        if set == "imagenet1k", let accuracy = known.imageNetAccuracy {
            results["acc1"] = accuracy / 100
        }
        for table in tables {
            let rows = table.split(separator: "\n").map { $0.split(separator: " ") }
            guard let row = rows.first(where: { HubModel.named(String($0[0])) == known }) else {
                continue
            }
            for (title, percent) in zip(rows[0], row).dropFirst() {
                guard let column = columns[title], column.dataset == set else { continue }
                results[column.metric] = Double(percent).map { $0 / 100 }
            }
        }
        return results
    }

    /// Returns the name of a data set in a single spelling: lower case, without its prefixes and
    /// punctuation.
    static func canonical(_ dataset: String) -> String {
        var name = DatasetChoice.withoutPrefix(dataset).lowercased()
        for prefix in ["clip-benchmark/wds_", "vtab/", "vtab-"] where name.hasPrefix(prefix) {
            name = String(name.dropFirst(prefix.count))
        }
        let plain = name.filter { $0.isLetter || $0.isNumber }
        return switch plain {
        case "imagenet": "imagenet1k"
        case "coco", "mscoco": "mscococaptions"
        default: plain
        }
    }

    /// The data set and the metric of each column of the tables.
    private static let columns: [Substring: (dataset: String, metric: String)] = [
        "in1k": ("imagenet1k", "acc1"), "inv2": ("imagenetv2", "acc1"),
        "ina": ("imageneta", "acc1"), "inr": ("imagenetr", "acc1"),
        "sketch": ("imagenetsketch", "acc1"), "objnet": ("objectnet", "acc1"),
        "c10": ("cifar10", "acc1"), "c100": ("cifar100", "acc1"), "voc07": ("voc2007", "acc1"),
        "f.ir1": (flickr, "image_retrieval_recall@1"),
        "f.ir5": (flickr, "image_retrieval_recall@5"),
        "f.tr1": (flickr, "text_retrieval_recall@1"),
        "f.tr5": (flickr, "text_retrieval_recall@5"),
        "c.ir1": (coco, "image_retrieval_recall@1"), "c.ir5": (coco, "image_retrieval_recall@5"),
        "c.tr1": (coco, "text_retrieval_recall@1"), "c.tr5": (coco, "text_retrieval_recall@5"),
    ]

    private static let flickr = "flickr30k"
    private static let coco = "mscococaptions"

    /// The results in percent; each table begins with the names of its columns.
    private static let tables = [
        """
        model                 in1k   inv2    ina    inr  sketch  objnet    c10   c100  voc07
        RN50:openai          59.82  52.84  23.27  60.73   35.44   41.41  71.57  40.30  65.10
        RN101:openai         62.28  56.12  29.44  68.17   41.06   45.15  80.78  47.64  65.12
        RN50x4:openai        66.27  59.44  41.45  72.74   44.68   51.41  79.43  45.14  68.14
        RN50x16:openai       70.72  64.20  57.24  79.33   50.63   60.71  81.34  52.09  68.00
        RN50x64:openai       73.91  67.06  70.77  84.41   55.93   68.20  85.10  59.85  73.98
        ViT-B-32:openai      63.32  55.92  31.55  69.33   42.29   44.31  89.83  64.23  76.40
        ViT-B-16:openai      68.34  61.88  49.95  77.70   48.24   55.31  90.77  66.95  78.31
        ViT-L-14:openai      75.54  69.83  70.75  87.84   59.59   68.89  95.59  75.82  78.28
        ViT-L-14-336:openai  76.56  70.89  77.48  89.05   61.00   71.83  94.93  74.36  78.15
        """,
        """
        model                f.ir1  f.ir5  f.tr1  f.tr5  c.ir1  c.ir5  c.tr1  c.tr5
        RN50:openai          57.36  83.18  80.00  95.00  28.54  52.91  48.84  72.78
        RN101:openai         58.04  82.28  79.00  94.90  30.69  55.46  49.82  74.48
        RN50x4:openai        62.58  84.76  82.10  96.30  33.39  58.12  52.96  76.62
        RN50x16:openai       65.34  87.10  85.70  97.00  35.41  60.02  55.36  78.76
        RN50x64:openai       68.98  89.90  86.90  98.20  35.24  59.92  58.42  80.46
        ViT-B-32:openai      58.78  83.56  78.90  94.90  30.44  55.94  50.12  75.00
        ViT-B-16:openai      62.16  85.72  82.20  96.60  33.09  58.42  52.42  76.70
        ViT-L-14:openai      64.96  87.24  85.20  97.40  36.51  61.06  56.34  79.38
        ViT-L-14-336:openai  66.90  89.00  87.70  98.50  37.09  61.62  57.94  81.20
        """,
        """
        model                            in1k  inv2  c10   c100  f.ir1 f.tr1 c.ir1 c.ir5 c.tr1 c.tr5
        ViT-B-32:laion400m_e32           62.93 55.06 90.74 70.29 61.70 78.80 35.33 60.89 52.58 76.72
        ViT-B-32:laion2b_e16             65.65 57.39 94.03 75.44 66.38 84.40 39.13 64.67 56.24 79.56
        ViT-B-32:laion2b_s34b_b79k       66.56 58.14 93.58 75.55 66.78 84.10 39.34 65.43 56.32 79.84
        ViT-B-32:datacomp_xl_s13b_b90k   69.17 60.75 95.61 80.31 61.08 79.00 37.14 62.35 53.54 77.78
        ViT-B-32-256:datacomp_s34b_b86k  72.81 64.81 96.53 82.87 64.92 84.80 39.93 65.43 57.92 80.56
        ViT-B-32:metaclip_400m           65.58 57.60 91.25 70.06 62.34 77.80 35.91 61.79 51.82 76.40
        ViT-B-32:metaclip_fullcc         67.66 59.57 95.18 77.67 65.10 80.80 38.06 64.11 55.18 78.90
        ViT-B-16:laion2b_s34b_b88k       70.23 62.28 94.94 76.84 69.84 86.30 42.31 67.70 59.44 81.78
        ViT-B-16:datacomp_xl_s13b_b90k   73.49 65.98 96.24 82.12 67.56 85.10 40.16 65.95 57.44 80.86
        ViT-B-16:dfn2b                   76.24 68.18 96.72 83.49 69.12 85.40 43.39 69.24 60.38 83.10
        ViT-L-14:laion2b_s32b_b82k       75.25 67.80 96.62 83.32 75.52 89.50 46.51 71.08 63.36 83.98
        ViT-L-14:datacomp_xl_s13b_b90k   79.21 72.05 98.24 87.36 73.38 89.00 45.73 70.03 63.30 84.14
        ViT-H-14:laion2b_s32b_b79k       77.96 70.90 97.45 84.73 77.64 90.70 49.48 73.38 65.92 86.06
        ViT-bigG-14:laion2b_s39b_b160k   80.09 73.59 98.24 87.52 79.56 92.90 51.37 74.90 67.38 86.86
        """,
    ]
}
