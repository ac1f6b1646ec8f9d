"""What can be guessed about the diagnostic world (the toy world's level 2) without reading or without looking.

    python benchmarks/shortcuts.py --out benchmarks/shortcuts.json

trains observers that lack something, each for minutes on one thread, on training clips and families of the slices, and
scores them on test clips and families by the mean IoU of whole clips, as `ceilings` does, which it computes as well.
An observer who sees a clip knows everything about each thing in the frames it sees (what it is, where, how large, in
which pose) and marks whole actors: all that is left to guess is whom a sentence means.

| observer    | is shown                                                                    | answers with   |
|-------------|-----------------------------------------------------------------------------|----------------|
| place       | of which kind the sentence is                                               | one fixed mask |
| words       | the sentence, as single words, pairs and triples                            | one fixed mask |
| files       | the sentence, its place in the list, the actors' numbers, the clip's length | actors         |
| no words    | the clip                                                                    | actors         |
| first frame | the first frame and the sentence                                            | actors         |
| everything  | the clip and the sentence: how much this learner can learn                  | actors         |

In each slice the lower end of an observer's 95 % interval (a bootstrap over families) must not exceed the ceiling of
any blinded observer who sees at least as much. `none` is the area under the ROC curve of telling that nothing fits: one
half for an observer who cannot.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from measure import tables_of
from torch import Tensor, nn
from tqdm import tqdm

from dtse_core.config import Count, Whole, WorldSeed
from dtse_core.data.clip import CONTROL, KINDS
from dtse_core.data.toy.draw import BACKDROPS
from dtse_core.data.toy.level2.cast import ACTS
from dtse_core.data.toy.level2.scene import UNIT, Scene, _facing, _pose, render, shown
from dtse_core.data.toy.level2.slices import BLIND, MARGIN, OBSERVERS, THEMES, _best, ceilings
from dtse_core.data.toy.level2.world import VERSION, DiagnosticWorld
from dtse_core.data.toy.words import ACTORS, ANCHORS, COLORS
from dtse_core.scoring.summary import bootstrap_interval
from dtse_core.shared.console import bars_hidden, one_line_errors, parse
from dtse_core.shared.files import require_ours, write_json

GRID = 24, 36  # pixels of a frame, as in `ceilings`
INSTANTS = 16  # in which an observer of the whole clip sees it
KEYS = r'"without words"'  # of the result, by which a file is known that may be replaced
READERS = ("files", "no words", "first frame", "everything")  # observers that mark actors
LOOKS = 4 + len(ACTORS) + len(ANCHORS) + len(COLORS) + 2  # features of a thing before those of its state
NOUNS = {kind: kind for kind in (*ACTORS, *ANCHORS)} | {f"{kind}s": kind for kind in ACTORS} | {"babies": "baby"}
SEES_LESS_THAN = {  # whose ceilings bound an observer: those who see at least as much
    "place": OBSERVERS,
    "words": ("one frame", "no order of frames", "no color"),
    "files": ("one frame", "no order of frames", "no color"),
    "no words": ("no words",),
    "first frame": ("one frame",),
}


@dataclass(frozen=True)
class Seen:
    """A scene as observers see it, and where its actors are."""

    kinds: list[str]  # of its things, actors first
    colors: list[str]
    first: np.ndarray  # (things, features): each in the first frame; begins with x, y, height and width
    whole: np.ndarray  # (things, features): each in the whole clip; begins with mean x, mean y, height and width
    after: np.ndarray  # (things, things): how straight the first goes toward the second, 1 always to -1 away
    scenery: np.ndarray  # (features,): backdrop, light, the camera's step
    length: int
    marked: np.ndarray  # (actors, H, W): share of the frames in which a pixel is theirs


@dataclass(frozen=True)
class Asked:
    """A sentence about a scene, and whom it means."""

    seen: Seen
    words: tuple[str, ...]
    kind: str
    place: int  # in the list of what is said about the scene
    meant: np.ndarray  # (actors,) bool
    part: str  # main, or a slice
    number: str  # of its clip or family


def draw(split: str, clips: int, families: int, seed: int, step: int) -> Iterator[Asked]:
    """What is said about the clips of a split and in the families of the slices. `step`: of the frames of masks."""
    world = DiagnosticWorld(split, seed)
    listed = [("main", k) for k in range(clips)] + [(name, k) for k in range(families) for name in THEMES]
    for part, k in tqdm(listed, desc=f"drawing {split}", disable=bars_hidden()):
        if part == "main":
            clip = world.clip(k)
            said = [(clip.scene, sentence, sentence.kind) for sentence in clip.sentences]
        else:
            family = world.family(part, k)
            said = [(q.scene, q.sentence, CONTROL if q.control else q.sentence.kind) for q in family]
        seen = {scene: see(scene, step) for scene in dict.fromkeys(scene for scene, _, _ in said)}
        places = {scene: count() for scene in seen}
        for scene, sentence, kind in said:
            meant = np.array([actor.number in sentence.targets for actor in scene.actors])
            words = tuple(sentence.text.split())
            yield Asked(seen[scene], words, kind, next(places[scene]), meant, part, f"{part} {k}")


def see(scene: Scene, step: int) -> Seen:
    length, things = scene.length, scene.things
    frames = range(0, length, step)
    ids = render(scene, frames, *GRID)[1]
    places = (scene.boxes[..., :2] + scene.boxes[..., 2:]) / 2 / UNIT - (0.75, 0.5)  # in the world
    seen_at, clear = places - np.stack([scene.camera / UNIT, 0 * scene.camera], -1), shown(scene) / 1000
    first, whole = [], []
    for k, thing in enumerate(things):
        half, looks = np.array(thing.half)[::-1] / UNIT, [*np.equal((*ACTORS, *ANCHORS), thing.kind)]
        looks += [*np.equal(COLORS, thing.color), *np.log(half)]
        steps, moment = thing.steps(length), length - 1 if scene.backward else 0
        pose = _pose(thing, moment, steps)
        phases = 2 * np.pi * np.array([pose.limbs, pose.wings, pose.nod])
        x, y = seen_at[k, 0] - (0, thing.rise(moment) / UNIT)
        facing = _facing(thing, moment, steps) if thing.color else 0
        first.append([x, y, *half, *looks, clear[k, 0], facing, *np.sin(phases), *np.cos(phases), abs(x), abs(y)])
        whole.append(
            [*seen_at[k].mean(0), *half, *looks, *motion(places[k], clear[k]), *(thing.act == a for a in ACTS)]
        )
    light, pan = scene.light[:: -1 if scene.backward else 1], scene.pan * (-1) ** scene.backward
    scenery = [*np.equal(BACKDROPS, scene.backdrop), *(value / 256 - 1 for value in light), pan]
    marked = np.stack([(ids == actor.number).mean(0) for actor in scene.actors]).astype(np.float32)
    named = [thing.kind for thing in things], [thing.color for thing in things]
    steps, ways = np.diff(places, axis=1)[:, None], (places[None] - places[:, None])[:, :, :-1]
    lengths = np.linalg.norm(steps, axis=3) * np.linalg.norm(ways, axis=3)
    after = ((steps * ways).sum(3) / np.maximum(lengths, 1e-9)).sum(2) / np.maximum(steps.any(3).sum(2), 1)
    tables = [np.array(table, np.float32) for table in (first, whole, after, scenery)]
    return Seen(*named, *tables, length, marked)


def motion(places: np.ndarray, clear: np.ndarray) -> list[float]:
    """How a thing moves: ways forth and back, when it rests, how often it turns round, when it is hidden."""
    steps = np.diff(places, axis=0)
    moves, signs, parts = steps.any(1), np.sign(steps[:, 0]), np.array_split(np.arange(len(steps)), 4)
    turns = np.count_nonzero(np.diff(signs[signs != 0]))
    when = np.flatnonzero(moves) if moves.any() else np.array([0])
    ways = [*np.maximum(steps, 0).sum(0), *np.maximum(-steps, 0).sum(0)]
    speed = np.abs(steps).sum() / max(moves.sum(), 1)
    hidden = [clear.min(), clear.argmin() / len(clear), clear[0], clear[-1]]
    rests = [float(moves[part].mean()) for part in parts]
    return [*places[0], *places[-1], *ways, 10 * speed, turns, min(turns, 2) == 1, *rests, *when[[0, -1]] / 64, *hidden]


# --------------------------------------------------------------------------------------------- who marks one fixed mask


class Bags:
    """Texts as sets of their single words, pairs and triples, of those that training texts have eight times or more."""

    def __init__(self, texts: list[tuple[str, ...]]):
        seen = Counter(gram for text in texts for gram in self._grams(text))
        self.numbers = {gram: k for k, gram in enumerate(sorted(gram for gram, n in seen.items() if n >= 8))}

    @staticmethod
    def _grams(text: tuple[str, ...]) -> set[tuple[str, ...]]:
        return {text[k : k + n] for n in (1, 2, 3) for k in range(len(text) - n + 1)}

    def __call__(self, texts: list[tuple[str, ...]]) -> tuple[Tensor, Tensor]:
        """What `nn.EmbeddingBag` takes: numbers, one text after the other, and where each begins."""
        bags = [[self.numbers[gram] for gram in self._grams(text) if gram in self.numbers] for text in texts]
        begins = np.cumsum([0, *map(len, bags[:-1])])
        return torch.tensor([number for bag in bags for number in bag], dtype=torch.long), torch.tensor(begins)


def learn(model: nn.Module, loss, count: int, steps: int, name: str, rate: float = 3e-3) -> nn.Module:
    """Minimizes `loss(numbers of some of count samples)`."""
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    for _ in tqdm(range(steps), desc=name, disable=bars_hidden()):
        loss(torch.randint(count, (256,)).tolist()).backward()
        optimizer.step(), optimizer.zero_grad(), schedule.step()
    return model


def told(observer: str, asked: list[Asked]) -> list[tuple[str, ...]]:
    """The words that an observer is told."""
    hidden = {"place": lambda one: (f"{one.part}: {one.kind}",), "no words": lambda one: ()}
    return [hidden.get(observer, lambda one: one.words)(one) for one in asked]


def mask_scores(observer: str, train: list[Asked], test: list[Asked], steps: int) -> list[float]:
    """IoUs of an observer who learns a mask for each word, adds them up, and marks the sum in every frame."""
    torch.manual_seed(0)
    bags = Bags(told(observer, train))
    model = nn.Sequential(nn.EmbeddingBag(len(bags.numbers), 32, mode="sum"), nn.Linear(32, GRID[0] * GRID[1]))
    nn.init.normal_(model[0].weight, 0, 0.1)
    texts, true = told(observer, train), [torch.from_numpy(one.seen.marked[one.meant].sum(0)).ravel() for one in train]

    def logits(some: list[tuple[str, ...]]) -> Tensor:
        return model[1](model[0](*bags(some)))

    def loss(some: list[int]) -> Tensor:
        return 1 - iou(logits([texts[k] for k in some]).sigmoid(), torch.stack([true[k] for k in some])).mean()

    learn(model, loss, len(train), steps, observer)
    with torch.inference_mode():
        masks = (logits(told(observer, test)) > 0).float()
        return [
            iou(mask, torch.from_numpy(one.seen.marked[one.meant].sum(0)).ravel(), 0).item()
            for mask, one in zip(masks, test, strict=True)
        ]


def iou(answer: Tensor, true: Tensor, both: float = 0.05) -> Tensor:
    """Of an answer to be marked in all frames; `true`: the share of frames. `both` pixels more keep it smooth."""
    shared = (answer * true).sum(-1)
    union = answer.sum(-1) + true.sum(-1) - shared
    return torch.where(union + both > 0, (shared + both) / (union + both), 1.0)


def fits_nobody(split: str, clips: int, seed: int) -> list[Asked]:
    """More sentences that fit nobody, without their scenes."""
    world, found = DiagnosticWorld(split, seed, kinds=("none",)), []
    for k in tqdm(range(clips), desc=f"drawing none of {split}", disable=bars_hidden()):
        said = world.clip(k).sentences
        found += [
            Asked(None, tuple(one.text.split()), "none", 0, np.zeros(0, bool), "none", f"none {k}") for one in said
        ]
    return found


def none_by_words(train: list[Asked], test: list[Asked], steps: int) -> dict:
    """Area under the curve of a logistic regression from words to "nothing fits", with its 95 % interval."""
    torch.manual_seed(0)
    bags, right = Bags(told("words", train)), torch.tensor([not one.meant.any() for one in train]).float()
    model = nn.EmbeddingBag(len(bags.numbers), 1, mode="sum")
    nn.init.zeros_(model.weight)
    texts, weight = told("words", train), (1 - right).sum() / right.sum()

    def loss(some: list[int]) -> Tensor:
        said = model(*bags([texts[k] for k in some]))[:, 0]
        return F.binary_cross_entropy_with_logits(said, right[some], pos_weight=weight)

    learn(model, loss, len(train), steps, "none by words")
    with torch.inference_mode():
        return area_under_curve(model(*bags(told("words", test)))[:, 0].numpy(), test)


def area_under_curve(likely: np.ndarray, test: list[Asked]) -> dict:
    """How often a sentence that fits nobody is told from one that fits somebody; whole clips are drawn anew."""
    nothing = np.array([not one.meant.any() for one in test])
    _, clips = np.unique([one.number for one in test], return_inverse=True)
    _, rank = np.unique(likely, return_inverse=True)
    rng, n, found = np.random.default_rng(0), clips.max() + 1, []
    for times in [np.ones(n), *(np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(500))]:
        weight = times[clips].astype(float)
        yes, no = (np.bincount(rank, weight * part, rank.max() + 1) for part in (nothing, ~nothing))
        if yes.any() and no.any():
            found.append(float((yes * (no.cumsum() - no / 2)).sum() / (yes.sum() * no.sum())))
    low, high = np.quantile(found[1:], (0.025, 0.975))
    return {"auc": found[0], "low": float(low), "high": float(high), "count": int(nothing.sum())}


# ------------------------------------------------------------------------------------------------- who marks actors


class Guesser(nn.Module):
    """Says of each actor how likely it is meant: three layers over what a sentence says and how the actor fits it."""

    def __init__(self, grams: int, features: int, width: int = 128):
        super().__init__()
        self.read = nn.EmbeddingBag(max(1, grams), 48, mode="sum")
        nn.init.normal_(self.read.weight, 0, 0.05)
        self.layers = nn.Sequential(
            nn.Linear(48 + features, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1)
        )

    def forward(self, bags: tuple[Tensor, Tensor], rows: Tensor) -> Tensor:
        """rows (B, actors, features): (B, actors) logits."""
        said = F.dropout(self.read(*bags), 0.2, self.training)[:, None].expand(-1, rows.shape[1], -1)
        return self.layers(torch.cat([said, rows], 2))[..., 0]


def view(observer: str, asked: Asked) -> np.ndarray:
    """What an observer is shown of each actor, and how it fits the nouns of the sentence: (actors, features)."""
    seen, actors = asked.seen, len(asked.meant)
    if observer == "files":
        rows = [[*np.eye(9)[k], *np.eye(9)[actors - 1], asked.place, seen.length / 64] for k in range(actors)]
        return np.array(rows, np.float32)
    things, scenery = (seen.first, seen.scenery[:-2]) if observer == "first frame" else (seen.whole, seen.scenery)
    table = things[:actors]
    rows = [table, np.tile(scenery, (actors, 1))]
    if observer == "no words":
        looks = table[:, 4 : LOOKS - 2]
        return np.concatenate([*rows, *ranked(table, (looks[:, None] == looks).all(2))], 1)
    kinds, colors, nobody = np.array(seen.kinds), np.array(seen.colors), np.zeros(len(things), bool)
    nouns = [
        (kinds == kind, (kinds == kind) & ((colors == color) | (color == ""))) for kind, color in named(asked.words)
    ]
    first, *others = (nouns + 3 * [(nobody, nobody)])[:3]
    for among in (*first, first[0] & ~first[1]):
        rows += [among[:actors, None], *ranked(table, np.outer(among, among)[:actors, :actors])]
    for _, them in others:  # the nearest that the second noun can mean, and the third
        far = np.abs(table[:, None, :2] - things[None, :, :2]).sum(2) + 9 * ~them + 99 * np.eye(actors, len(things))
        nearest, gap = things[far.argmin(1)] * them.any(), far.min(1, keepdims=True)
        rows += [them[:actors, None], nearest - table, nearest[:, LOOKS:], gap < 9, gap.clip(0, 3)]
        if observer == "everything":
            chases, chased = seen.after[:actors] - 2 * ~them, seen.after.T[:actors] - 2 * ~them
            rows += [chases.max(1, keepdims=True), chased.max(1, keepdims=True)]
    return np.concatenate(rows, 1)


def ranked(table: np.ndarray, among: np.ndarray) -> list[np.ndarray]:
    """How many are `among` (n, n) with each actor, and what share of them it exceeds and equals in each number."""
    size = among.sum(1, keepdims=True)
    values = table[:, [0, 1, 2, *range(LOOKS, table.shape[1])]]
    shares = [
        (sign(values[:, None], values) & among[..., None]).sum(1) / np.maximum(size, 1)
        for sign in (np.greater, np.equal)
    ]
    return [size / 4, *shares]


def named(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """The nouns of a sentence, in order, with their colors: of the word before, or else of one after."""
    found, color = [], ""
    for word, after in zip(words, (*words[1:], ""), strict=True):
        if word in NOUNS:
            found.append((NOUNS[word], color))
            color = ""
        elif word in COLORS and after in NOUNS:
            color = word
        elif word in COLORS:
            found[-1:] = [(kind, word) for kind, _ in found[-1:]]
    return found


def padded(views: list[np.ndarray], mean: np.ndarray, scale: np.ndarray) -> tuple[Tensor, Tensor]:
    """(B, 10, features) and (B, 10): which rows count. Row 0 stands for nobody: the mean of all actors."""
    rows, there = torch.zeros(len(views), 10, len(mean) + 1), torch.zeros(len(views), 10)
    for k, of in enumerate(views):
        actors = torch.from_numpy(((of - mean) / scale).astype(np.float32))
        rows[k, 0, :-1], rows[k, 0, -1] = actors.mean(0), 1
        rows[k, 1 : 1 + len(of), :-1], there[k, : 1 + len(of)] = actors, 1
    return rows, there


def actor_scores(observer: str, train: list[Asked], test: list[Asked], steps: int) -> tuple[list[float], list[float]]:
    """IoUs of an observer who learns to mark actors, and its probabilities that nothing is meant."""
    torch.manual_seed(0)
    texts = told(observer, train)
    bags, views = Bags(texts), [view(observer, asked) for asked in train]
    stacked = np.concatenate(views)
    mean, scale = stacked.mean(0), stacked.std(0) + 1e-3
    rows, there = padded(views, mean, scale)
    meant = torch.zeros(len(train), 10)
    for k, asked in enumerate(train):
        meant[k, 0], meant[k, 1 : 1 + len(asked.meant)] = not asked.meant.any(), torch.from_numpy(asked.meant)
    model = Guesser(len(bags.numbers), rows.shape[2])

    def loss(some: list[int]) -> Tensor:
        said = model(bags([texts[k] for k in some]), rows[some])
        each = F.binary_cross_entropy_with_logits(said, meant[some], reduction="none")
        return (each * there[some]).sum() / len(some)

    learn(model, loss, len(train), steps, observer)
    model.eval()
    with torch.inference_mode():
        rows, _ = padded([view(observer, asked) for asked in test], mean, scale)
        likely = model(bags(told(observer, test)), rows).sigmoid().double().numpy()
    return [answered(asked, p) for asked, p in zip(test, likely, strict=True)], likely[:, 0].tolist()


def answered(asked: Asked, likely: np.ndarray) -> float:
    """The IoU of the answer that promises the most: nobody, or the likeliest actors.

    `likely` (10,): the probabilities that nobody, and that each actor is meant. Where those of the actors add up to
    one or less, only one is taken to be meant; where to two or more, each whoever else is.
    """
    n = len(asked.meant)
    nobody, p, size = likely[0], likely[1 : 1 + n], asked.seen.first[:n, 2:4].prod(1)
    several = np.clip(p.sum() - 1, 0, 1)
    order = np.argsort(-p)
    hoped = [nobody]
    for most in range(1, n + 1):
        marked, rest = order[:most], order[most:]
        share, all_of_them = (p * size)[marked].sum(), size[marked].sum()
        one, more = share / all_of_them / max(p.sum(), 1e-9), share / (all_of_them + (p * size)[rest].sum())
        hoped.append((1 - nobody) * ((1 - several) * one + several * more))
    chosen, area = np.isin(np.arange(n), order[: int(np.argmax(hoped))]), asked.seen.marked.sum((1, 2))
    union = area[chosen | asked.meant].sum()
    return float(area[chosen & asked.meant].sum() / union) if union else 1.0


# --------------------------------------------------------------------------------------------------------- the report


def groups(test: list[Asked]) -> dict[str, list[int]]:
    """What scores are given for: all and each kind of the split; what each slice asks, and each kind of that."""
    found = defaultdict(list)
    for k, asked in enumerate(test):
        if asked.part == "main":
            found["all"].append(k)
        if asked.kind != CONTROL:
            found[asked.kind if asked.part == "main" else asked.part].append(k)
            if asked.part != "main" and len(THEMES[asked.part]) > 1:
                found[f"{asked.part}: {asked.kind}"].append(k)
    order = ["all", *KINDS, *(f"{name}{of}" for name in THEMES for of in ("", *(f": {kind}" for kind in KINDS)))]
    return {name: found[name] for name in order if name in found}


def report(scores: dict[str, list[float]], test: list[Asked]) -> dict[str, dict]:
    """Of each group and observer the mean IoU and the ends of its 95 % interval."""
    found = {}
    for group, members in groups(test).items():
        whose = [test[k].number for k in members]
        values = {observer: np.array(of)[members] for observer, of in scores.items()}
        found[group] = {
            observer: [float(of.mean()), *bootstrap_interval(of, whose)] for observer, of in values.items()
        } | {"count": len(members)}
    return found


def without_words(test: list[Asked]) -> dict[str, float]:
    """The best mean IoU over the sentences of each kind for an answer to a clip that is the same for all of them."""
    found = {}
    for group, members in groups([asked for asked in test if asked.part == "main"]).items():
        clips = defaultdict(list)
        for asked in (test[k] for k in members):
            clips[asked.number].append((asked.seen.marked.sum((1, 2)), asked.meant, 1.0))
        found[group] = sum(map(_best, clips.values())) / len(members)
    return found


def bound(name: str, observer: str, table: dict[str, float]) -> float | None:
    """The ceiling of a slice that an observer must not exceed; None where the slice does not blind it."""
    blind = set(BLIND[name]) & set(SEES_LESS_THAN.get(observer, ()))
    return min(table[who] for who in blind) if blind else None


def beaten(result: dict) -> list[tuple[str, str]]:
    """(slice, observer) wherever the lower end of the observer's interval lies above the ceiling."""
    found = []
    for name, table in result["ceilings"].items():
        for observer, (_, low, _) in ((o, v) for o, v in result["scores"][name].items() if o != "count"):
            limit = bound(name, observer, table)
            found += [(name, observer)] if limit is not None and low > limit else []
    return found


def tables(result: dict) -> str:
    """Ceilings and shortcuts as Markdown."""
    lines = ["| slice | " + " | ".join(OBSERVERS) + " |", "|---|" + "---|" * len(OBSERVERS)]
    for name, table in result["ceilings"].items():
        cells = [f"**{table[who]:.2f}**" if table[who] <= 1 - MARGIN else f"{table[who]:.2f}" for who in OBSERVERS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    observers, limits = [name for name in result["scores"]["all"] if name != "count"], result["ceilings"]
    lines += ["", "| asked | sentences | " + " | ".join(observers) + " | best without words |"]
    lines.append("|---|" + "---|" * (len(observers) + 2))
    for group, row in result["scores"].items():
        cells = [group, str(row["count"])]
        for observer in observers:
            mean, low, high = row[observer]
            bounded = group in THEMES and bound(group, observer, limits[group]) is not None
            cells.append(f"**{mean:.2f}** ({low:.2f} to {high:.2f})" if bounded else f"{mean:.2f}")
        best = result["without words"].get(group, limits.get(group, {}).get("no words"))
        lines.append("| " + " | ".join([*cells, "" if best is None else f"{best:.2f}"]) + " |")
    lines += ["", "| who is to tell that nothing fits | area under the curve | 95 % |", "|---|---|---|"]
    for observer, auc in result["none"].items():
        lines.append(f"| {observer} | {auc['auc']:.2f} | {auc['low']:.2f} to {auc['high']:.2f} |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Command:
    out: Path  # JSON file for the result
    clips: Count = 2000  # of the test split
    families: Count = 200  # of each slice, for test and ceilings
    train_clips: Count = 2500
    train_families: Count = 250  # of each slice
    none: Whole = 1020  # more clips of train and of test in which nothing fits
    steps: Count = 1500  # of each training
    seed: WorldSeed = 0  # of the world
    tables: bool = False  # print the tables of an existing --out, and do nothing


@one_line_errors
def main() -> None:
    """Command line."""
    options = parse(Command, "python benchmarks/shortcuts.py", description=__doc__)
    if options.tables:
        print(tables_of(options.out, tables))
        return
    require_ours(options.out, KEYS)
    torch.set_num_threads(1)
    train = list(draw("train", options.train_clips, options.train_families, options.seed, 16))
    test = list(draw("test", options.clips, options.families, options.seed, 4))
    scores = {name: mask_scores(name, train, test, options.steps) for name in ("place", "words")}
    main_test, nothing = [asked for asked in test if asked.part == "main"], {}
    said = [[one for one in asked if one.part == "main" and one.kind != "none"] for asked in (train, test)]
    said = [
        some + fits_nobody(split, options.none, options.seed)
        for some, split in zip(said, ("train", "test"), strict=True)
    ]
    nothing["words"] = none_by_words(*said, options.steps)
    for name in READERS:
        scores[name], likely = actor_scores(name, train, test, options.steps)
        of_main = np.array([value for value, asked in zip(likely, test, strict=True) if asked.part == "main"])
        nothing[name] = area_under_curve(of_main, main_test)
    world, limits = DiagnosticWorld("test", options.seed), {}
    for name in tqdm(THEMES, desc="ceilings", disable=bars_hidden()):
        asked = [q for k in range(options.families) for q in world.family(name, k) if not q.control]
        limits[name] = ceilings(asked)
    about = {key: value for key, value in vars(options).items() if key not in ("out", "tables")}
    result = {"version": VERSION, **about, "ceilings": limits, "scores": report(scores, test)}
    result |= {"without words": without_words(test), "none": nothing}
    write_json(options.out, result, KEYS)
    print(tables(result))
    for name, observer in (found := beaten(result)):
        print(f"{observer} beats the ceiling of {name}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
