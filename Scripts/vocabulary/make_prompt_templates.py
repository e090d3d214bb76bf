"""Writes Sources/CLIP/ZeroShot/PromptTemplates.swift from the templates in open_clip_torch.

    VENV/bin/python Scripts/vocabulary/make_prompt_templates.py

The 80 templates are OpenAI's, from the notebook Prompt_Engineering_for_ImageNet of openai/CLIP
(MIT).
"""

import pathlib

from open_clip import OPENAI_IMAGENET_TEMPLATES

TARGET = (
    pathlib.Path(__file__).resolve().parents[2]
    / "Sources/CLIP/ZeroShot/PromptTemplates.swift"
)
HEADER = """\
// Written by Scripts/vocabulary/make_prompt_templates.py.

/// Lists of prompt templates, each with `{}` in the place of the label.
///
/// ```swift
/// let classifier = try ZeroShotClassifier(
///     model: model, labels: ["dog", "cat"], templates: PromptTemplates.imageNet)
/// ```
public enum PromptTemplates {
    /// OpenAI's 80 prompt templates for ImageNet.
    ///
    /// Averaged, they raise the accuracy on ImageNet by about 3.5 percentage points over a
    /// single template (CLIP paper, section 3.1.4).
    public static let imageNet = [
"""

lines = []
for template in OPENAI_IMAGENET_TEMPLATES:
    text = template("{}")
    assert text.count("{}") == 1 and '"' not in text and "\\" not in text
    lines.append(f'        "{text}",\n')
assert len(lines) == 80
TARGET.write_text(HEADER + "".join(lines) + "    ]\n}\n")
