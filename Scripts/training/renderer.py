"""Draws batches of scenes with PyTorch: backgrounds, pictograms, and what cameras do to pictures."""

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from scenes import COLOURS

LEVELS = (128, 64, 32, 16)  # sides of the bitmaps, each reduced from the largest

# Landscapes: sky above and below, ridge, its height and form, ground above and below, extras.
# Forms: 0 rolling hills, 1 peaks, 2 blocks of houses, 3 trees.
SCENERY = {
    "meadow": ((100, 170, 240), (200, 228, 250), (120, 170, 120), 0.18, 0, (110, 180, 80), (70, 140, 50), ""),
    "road": ((120, 180, 240), (210, 230, 250), (130, 165, 130), 0.14, 0, (120, 170, 90), (90, 150, 70), "road"),
    "sea": ((130, 190, 245), (220, 236, 250), (60, 130, 200), 0.0, 0, (50, 120, 200), (20, 70, 150), "waves"),
    "beach": ((130, 195, 245), (220, 240, 250), (50, 140, 200), 0.05, 0, (240, 220, 160), (225, 195, 130), "sun"),
    "mountains": ((110, 170, 235), (215, 230, 245), (125, 130, 145), 0.45, 1, (120, 150, 100), (90, 120, 80), ""),
    "snow": ((150, 190, 230), (225, 235, 245), (215, 225, 240), 0.2, 0, (245, 248, 252), (215, 228, 242), ""),
    "desert": ((120, 185, 240), (235, 232, 215), (225, 180, 110), 0.15, 0, (230, 190, 120), (205, 155, 85), "sun"),
    "night": ((8, 10, 40), (35, 40, 90), (20, 25, 50), 0.2, 0, (18, 28, 36), (10, 16, 22), "stars"),
    "room": ((225, 210, 185), (215, 200, 175), (200, 185, 160), 0.0, 0, (170, 120, 75), (130, 88, 52), ""),
    "sunset": ((90, 60, 130), (250, 150, 80), (110, 70, 90), 0.2, 0, (90, 70, 70), (60, 45, 50), "sun"),
    "skyline": ((130, 175, 225), (225, 230, 240), (120, 120, 135), 0.35, 2, (130, 130, 130), (95, 95, 95), ""),
    "forest": ((140, 190, 235), (215, 232, 240), (40, 95, 55), 0.3, 3, (100, 140, 70), (70, 110, 50), ""),
}


class Renderer:
    """Scenes to pictures of `side` pixels, float32 [batch, 3, side, side] from 0 to 1."""

    def __init__(self, bitmaps, side, unseen=False):
        self.side, self.unseen = side, unseen
        self.levels = [reduced(bitmaps, level) for level in LEVELS]
        steps = (torch.arange(side) + 0.5) / side
        self.y, self.x = torch.meshgrid(steps, steps, indexing="ij")

    def __call__(self, scenes, seed):
        random = torch.Generator().manual_seed(seed)
        pictures = self.backgrounds([scene.background for scene in scenes], random)
        slots = max(len(scene.objects) for scene in scenes)
        for slot in range(slots):
            self.place(pictures, scenes, slot, random)
        return self.photographed(pictures, random)

    # MARK: backgrounds

    def backgrounds(self, specs, random):
        pictures = torch.empty(len(specs), 3, self.side, self.side)
        kinds = {}
        for row, (kind, *_) in enumerate(specs):
            kinds.setdefault(kind, []).append(row)
        for kind, rows in kinds.items():
            if kind in SCENERY:
                pictures[rows] = self.landscape(SCENERY[kind], len(rows), random)
            else:
                first, second = (
                    torch.stack([named(specs[row][which], random) for row in rows])[:, :, None, None]
                    for which in (1, 2))
                mix = self.pattern(kind, len(rows), random)[:, None]
                pictures[rows] = first + (second - first) * mix
        if not self.unseen:
            self.cluttered(pictures, random)
        return pictures

    def cluttered(self, pictures, random):
        """Some more to be ignored, on part of the pictures: colours that change, a second pattern, specks."""
        count = len(pictures)
        kinds = ("patched", "spotted", "striped", "zigzag", "rayed", "gridded", "wavy")
        kind = kinds[int(torch.randint(0, len(kinds), (), generator=random))]
        rows = (torch.rand(count, generator=random) < 0.25).nonzero()[:, 0]
        colour = torch.rand(len(rows), 3, 1, 1, generator=random)
        mix = self.pattern(kind, len(rows), random)[:, None] * uniform(random, 0.1, 0.6, len(rows))[:, None, None, None]
        pictures[rows] = torch.lerp(pictures[rows], colour, mix.clamp(0, 1))
        rows = (torch.rand(count, generator=random) < 0.25).nonzero()[:, 0]
        shape = (len(rows), 3, int(torch.randint(3, 24, (), generator=random)))
        noise = torch.randn(*shape, shape[2], generator=random) * uniform(random, 0.03, 0.2, len(rows))[:, None, None, None]
        pictures[rows] += F.interpolate(noise, self.side, mode="bilinear", align_corners=False)
        pictures.clamp_(0, 1)

    def pattern(self, kind, count, random):
        """How much of the second colour there is, [count, side, side] from 0 to 1."""
        one = lambda low, high: uniform(random, low, high, count)[:, None, None]  # noqa: E731
        angle = one(0, 6.2832)
        along = (self.x - 0.5) * angle.cos() + (self.y - 0.5) * angle.sin()
        across = (self.y - 0.5) * angle.cos() - (self.x - 0.5) * angle.sin()
        if kind == "plain":
            return torch.zeros(count, self.side, self.side)
        if kind == "gradient":
            return (0.5 + along * one(0.8, 1.6)).clamp(0, 1)
        if kind == "striped":
            return (0.5 + (along * one(15, 60) + one(0, 6)).sin() * one(0.5, 4)).clamp(0, 1)
        if kind == "wavy":
            return (0.5 + (along * one(15, 60) + (across * one(8, 30)).sin() * one(0.5, 3)).sin() * 2).clamp(0, 1)
        if kind == "gridded":
            frequency, thin = one(12, 50), one(0.5, 0.9)
            return torch.maximum((along * frequency).sin() > thin, (across * frequency).sin() > thin).float()
        if kind == "checked":
            frequency = one(10, 30)
            return ((along * frequency).sin() * (across * frequency).sin() > 0).float()
        if kind == "dotted":
            frequency = one(15, 40)
            return ((along * frequency).sin() * (across * frequency).sin() > 0.6).float()
        if kind == "ringed":
            return (0.5 + ((along**2 + across**2).sqrt() * one(25, 60)).sin() * 2).clamp(0, 1)
        if kind == "rayed":
            rays = torch.randint(3, 12, (count, 1, 1), generator=random)
            turn = torch.atan2(across - one(-0.4, 0.4), along - one(-0.4, 0.4))
            return (0.5 + (turn * rays).sin() * one(0.5, 4)).clamp(0, 1)
        if kind == "zigzag":
            teeth = ((across * one(4, 14)) % 1 - 0.5).abs() * one(1, 8)
            return (0.5 + (along * one(15, 60) + teeth).sin() * 2).clamp(0, 1)
        if kind in ("patched", "lit"):
            cells = int(torch.randint(2, 9 if kind == "patched" else 5, (), generator=random))
            mode = {"mode": "nearest"} if kind == "patched" else {"mode": "bicubic", "align_corners": True}
            return F.interpolate(torch.rand(count, 1, cells, cells, generator=random), self.side, **mode)[:, 0]
        cells = int(torch.randint(3, 16, (), generator=random))
        noise = torch.randn(count, 1, cells, cells, generator=random)
        noise = F.interpolate(noise, self.side, mode="bicubic", align_corners=False)[:, 0]
        return (0.5 + noise * (one(3, 9) if kind == "spotted" else one(0.3, 0.8))).clamp(0, 1)

    def landscape(self, scenery, count, random):
        sky, haze, ridge, height, form, near, far, extra = scenery
        one = lambda low, high: uniform(random, low, high, count)[:, None, None]  # noqa: E731

        def colour(rgb):
            shade = uniform(random, 0.85, 1.12, count)[:, None]
            tint = uniform(random, -0.05, 0.05, count, 3)
            return ((torch.tensor(rgb) / 255 * shade) + tint)[:, :, None, None]

        def blend(top, bottom, t):
            return top + (bottom - top) * t[:, None].clamp(0, 1)

        x, y = self.x, self.y
        horizon = one(0.45, 0.75)
        picture = blend(colour(sky), colour(haze), y / horizon)
        if extra == "stars":
            stars = torch.rand(count, self.side, self.side, generator=random) > 0.985
            picture = torch.where(stars[:, None], torch.tensor(0.9), picture)
        if extra == "sun" or form == 0 and height > 0 and extra == "":
            radius = one(0.04, 0.1) * (torch.rand(count, 1, 1, generator=random) < 0.5)
            disc = ((x - one(0.1, 0.9)) ** 2 + (y - one(0.05, 0.3)) ** 2) < radius**2
            picture = torch.where(disc[:, None], torch.tensor([1.0, 0.93, 0.65])[:, None, None], picture)
        for depth in (1.0, 0.6):
            crest = horizon - height * depth * one(0.5, 1.1) * self.crest(form, x, one)
            picture = torch.where((y > crest)[:, None], colour(ridge), picture)
        ground = blend(colour(near), colour(far), (y - horizon) / (1 - horizon))
        if extra == "waves":
            ground = ground + 0.06 * ((y * one(60, 120) + (x * 12 + one(0, 6)).sin() * 2).sin())[:, None]
        if extra == "road":
            centre = one(0.3, 0.7) + (y - horizon) * one(-0.8, 0.8)
            width = 0.03 + (y - horizon) * one(0.5, 1.4)
            asphalt = (x - centre).abs() < width
            dash = ((x - centre).abs() < width * 0.06) & (((y + one(0, 1)) * 14).sin() > 0)
            ground = torch.where(asphalt[:, None], colour((95, 95, 100)), ground)
            ground = torch.where((asphalt & dash)[:, None], torch.tensor(0.92), ground)
        return torch.where((y > horizon)[:, None], ground, picture).clamp_(0, 1)

    @staticmethod
    def crest(form, x, one):
        """The height of a ridge over x, from 0 to about 1."""
        if form == 0:
            return 0.5 + 0.3 * (x * one(4, 9) + one(0, 6)).sin() + 0.2 * (x * one(9, 20) + one(0, 6)).sin()
        if form == 1:
            saw = lambda t: 1 - 2 * (t - t.floor() - 0.5).abs()  # noqa: E731
            return 0.7 * saw(x * one(1.2, 2.6) + one(0, 1)) + 0.3 * saw(x * one(3, 7) + one(0, 1))
        if form == 2:
            return 0.55 + 0.45 * ((x * one(6, 14)).floor() * one(1, 9)).sin()
        return 0.6 + 0.4 * ((x * one(9, 18) + one(0, 1)) % 1 - 0.5).abs() * 2

    # MARK: pictograms

    def place(self, pictures, scenes, slot, random):
        """Draws the pictogram of one slot onto the pictures that have so many."""
        rows = [row for row, scene in enumerate(scenes) if slot < len(scene.objects)]
        count = len(rows)
        sizes = torch.tensor([scenes[row].sizes[slot] for row in rows])
        centres = torch.tensor([scenes[row].centres[slot] for row in rows]) * 2 - 1
        indices = torch.tensor([scenes[row].objects[slot] for row in rows])

        steep = torch.rand(count, generator=random) < 0.15
        angle = uniform(random, -1, 1, count) * torch.where(steep, 0.45, 0.2)
        aspect = uniform(random, 0.88, 1.14, count)
        cos, sin = angle.cos() / sizes, angle.sin() / sizes
        matrix = torch.stack(
            [cos * aspect, sin * aspect, -sin / aspect, cos / aspect], 1).reshape(count, 2, 2)
        shift = -(matrix @ centres[:, :, None])
        theta = torch.cat([matrix, shift], 2)
        grid = F.affine_grid(theta, (count, 4, self.side, self.side), align_corners=False)

        ink = torch.empty(count, 4, self.side, self.side)
        pixels = sizes * self.side
        level = (pixels[:, None] <= torch.tensor(LEVELS[1:]) * 1.1).sum(1)
        for which, bitmaps in enumerate(self.levels):
            chosen = level == which
            if chosen.any():
                ink[chosen] = F.grid_sample(
                    bitmaps[indices[chosen]].float() / 255, grid[chosen], align_corners=False)
        alpha = ink[:, 3:]
        colour = self.recoloured(ink[:, :3], alpha, random)
        pictures[rows] = colour.add_(pictures[rows].mul_(1 - alpha))

    @staticmethod
    def recoloured(colour, alpha, random):
        """Other hues, saturations, contrasts and brightnesses; colours are premultiplied."""
        count = len(colour)
        grey = colour.mean(1, keepdim=True)
        saturation = uniform(random, 0.6, 1.35, count)[:, None, None, None]
        saturation = torch.where(
            torch.rand(count, 1, 1, 1, generator=random) < 0.06, torch.zeros(()), saturation)
        hue = uniform(random, -0.06, 0.06, count, 3)[:, :, None, None]
        light = uniform(random, 0.75, 1.2, count)[:, None, None, None]
        colour = torch.lerp(grey, colour, saturation).mul_(light * (1 + hue))
        return torch.minimum(colour.clamp_(min=0), alpha)

    # MARK: what cameras and files do

    def photographed(self, pictures, random):
        count = len(pictures)
        some = lambda share: torch.rand(count, generator=random) < share  # noqa: E731
        light = uniform(random, 0.8, 1.2, count)[:, None, None, None]
        contrast = uniform(random, 0.75, 1.2, count)[:, None, None, None]
        pictures = pictures.sub_(0.5).mul_(contrast).add_(0.5).mul_(light)
        if self.unseen:  # light that falls off, and few levels: the training has neither
            fall = ((self.x - 0.5) ** 2 + (self.y - 0.5) ** 2) * uniform(random, 0, 0.9, count)[:, None, None]
            pictures = pictures * (1 - fall)[:, None]
            coarse = some(0.15)
            pictures[coarse] = (pictures[coarse] * 12).round() / 12
        else:  # shadows and spots of light, and another curve
            shaded = some(0.4).nonzero()[:, 0]
            shade = self.pattern("lit", len(shaded), random) * uniform(random, 0.1, 0.7, len(shaded))[:, None, None]
            pictures[shaded] *= (1.15 - shade)[:, None]
            bent = some(0.3).nonzero()[:, 0]
            gamma = uniform(random, 0.7, 1.4, len(bent), 3)[:, :, None, None]
            pictures[bent] = pictures[bent].clamp(0.001, 1) ** gamma
        grey = some(0.04)
        pictures[grey] = pictures[grey].mean(1, keepdim=True).expand(-1, 3, -1, -1)
        scale = self.side / 64
        sigmas = torch.randint(0, 12, (count,), generator=random)
        for which, sigma in enumerate((0.5, 0.8, 1.1)):
            chosen = sigmas == which
            if chosen.any():
                pictures[chosen] = blur(pictures[chosen], sigma * scale)
        sharp = some(0.25) & (sigmas > 2)
        if sharp.any():
            pictures[sharp] += 0.6 * (pictures[sharp] - blur(pictures[sharp], 0.8 * scale))
        noisy = some(0.25)
        strength = uniform(random, 0.01, 0.07, int(noisy.sum()))[:, None, None, None]
        pictures[noisy] += torch.randn(pictures[noisy].shape, generator=random) * strength
        pictures = pictures.clamp_(0, 1)
        for row in some(0.2).nonzero()[:, 0].tolist():
            quality = int(torch.randint(25, 90, (), generator=random))
            pictures[row] = through_jpeg(pictures[row], quality)
        return pictures


def uniform(random, low, high, *shape):
    return torch.rand(*shape, generator=random) * (high - low) + low


def named(colour, random):
    """A named colour, a little off."""
    return (torch.tensor(COLOURS[colour]) / 255 + uniform(random, -0.07, 0.07, 3)).clamp(0, 1)


def blur(pictures, sigma):
    """A Gaussian blur, as sums of shifted pictures."""
    radius = max(1, round(2.5 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    side = pictures.shape[-1]
    padded = F.pad(pictures, (radius,) * 4, mode="replicate")
    rows = sum(k * padded[:, :, i : i + side] for i, k in enumerate(kernel.tolist()))
    return sum(k * rows[..., i : i + side] for i, k in enumerate(kernel.tolist()))


def to_bytes(picture):
    """[3, side, side] from 0 to 1 to [side, side, 3] in 8 bits."""
    return (picture * 255).round().byte().permute(1, 2, 0).numpy()


def through_jpeg(picture, quality):
    file = io.BytesIO()
    Image.fromarray(to_bytes(picture)).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255


def reduced(bitmaps, side):
    """Bitmaps [count, s, s, 4] at another size, premultiplied, as bytes [count, 4, side, side]."""
    pictures = [
        np.asarray(Image.fromarray(bitmap).convert("RGBa").resize(
            (side, side), Image.Resampling.BICUBIC)) for bitmap in bitmaps]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
