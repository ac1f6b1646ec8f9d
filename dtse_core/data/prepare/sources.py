"""Where the data sets come from, as data: the addresses of the official pages, as last reported in public.

Official checksums are published for MeViS's first masks alone; those of A2D's and J-HMDB's sentences were computed
from the genuine files. Nothing here depends on an unofficial copy.
"""

from dataclasses import dataclass, field

from ...shared.versions import ADDRESS

THREAD = "https://github.com/{}/issues/{}"


@dataclass(frozen=True)
class Source:
    """One download: an archive, or a single file."""

    name: str  # as its page offers it
    holds: str
    gives: tuple[str, ...]  # what stands in the root once it is in place
    places: dict[str, str] = field(default_factory=dict)  # archives: folder in it -> path in the root
    patterns: tuple[str, ...] = ()  # of other names that it goes by, in lower case; default: its own, ending otherwise
    url: str = ""  # reachable when last reported; empty: by hand
    by_hand: str = ""  # how, where it cannot be fetched
    dead: str = ""  # which known link is dead, and who reports it
    optional: bool = False
    sha256: str = ""  # of a single file


@dataclass(frozen=True)
class DataSet:
    """A data set: what to cite, where to ask, what to fetch and how the root looks in the end."""

    title: str
    paper: str
    page: str
    tree: str
    sources: tuple[Source, ...]
    note: str = ""
    converted: str = ""  # a path that marks a root in a layout that needs none of the sources


def _sentences(name: str, holds: str, folder: str = "") -> Source:
    """A single file from the page of the sentences of A2D and J-HMDB."""
    return Source(name, holds, (folder + name,), url=SENTENCES + name, sha256=SUMS[name])


SUMS = {  # SHA-256
    "a2d_annotation.txt": "cd7fe76bfded69e90a25cf06b1213dc39bb4262d74048a10e9d38d45db8d5e81",
    "a2d_missed_videos.txt": "f2549383d07cfe7af64d31462a5dc4b9952bca8ec7e17e54956434887f6e17d1",
    "jhmdb_annotation.txt": "e7e5e8625b826d7823c90e8ea0297dbe8342a567e6c9c4529b8d0a9c18580999",
}
GAVRILYUK = "https://kgavrilyuk.github.io/publication/actor_action/"
SENTENCES = "https://kgavrilyuk.github.io/actor_action/"
SENTENCES_PAPER = (
    "K. Gavrilyuk, A. Ghodrati, Z. Li, C. G. M. Snoek: Actor and Action Video Segmentation from a Sentence, CVPR 2018"
)
A2D = DataSet(
    title="A2D-Sentences",
    paper=SENTENCES_PAPER,
    page=GAVRILYUK,
    tree="Release/videoset.csv, Release/clips320H/<video>.mp4 and text_annotations/",
    sources=(
        Source(
            name="A2D_main_1_0.tar.bz",
            holds="the videos (Actor-Action Dataset, about 1.9 GB)",
            gives=("Release/videoset.csv", "Release/clips320H"),
            places={"Release": "Release"},
            patterns=("a2d_main*",),
            by_hand="C. Xu, S.-H. Hsieh, C. Xiong, J. J. Corso: Can Humans Fly? Action Understanding with Multiple "
            "Classes of Actors, CVPR 2015; if the page stays away, ask its authors for A2D_main_1_0.tar.bz",
            dead="https://web.eecs.umich.edu/~jjcorso/r/a2d/ was reported unreachable: "
            f"{THREAD.format('mttr2021/MTTR', 24)}, {THREAD.format('leonnnop/Locater', 2)}",
        ),
        _sentences("a2d_annotation.txt", "the sentences", "text_annotations/"),
        _sentences("a2d_missed_videos.txt", "the videos without sentences", "text_annotations/"),
        Source(
            name="a2d_annotation_with_instances.zip",
            holds="the masks with instance numbers",
            gives=("text_annotations/a2d_annotation_with_instances",),
            places={"a2d_annotation_with_instances": "text_annotations/a2d_annotation_with_instances"},
            by_hand=f"a browser download: {GAVRILYUK} links to it on Google Drive",
        ),
    ),
)
JHMDB_DEAD = (
    "http://jhmdb.is.tue.mpg.de and its file server were reported to answer 404: "
    f"{THREAD.format('open-mmlab/mmpose', 3248)}, {THREAD.format('iSEE-Laboratory/ReferDINO', 9)}"
)
JHMDB_PAPER = (
    "H. Jhuang, J. Gall, S. Zuffi, C. Schmid, M. J. Black: Towards Understanding Action Recognition, ICCV 2013; if "
    "the page stays away, ask its authors for "
)
JHMDB = DataSet(
    title="J-HMDB-Sentences",
    paper=SENTENCES_PAPER,
    page=GAVRILYUK,
    tree="Rename_Images/<action>/<video>/00001.png, puppet_mask/<action>/<video>/puppet_mask.mat and "
    "jhmdb_annotation.txt",
    sources=(
        Source(
            name="Rename_Images.tar.gz",
            holds="the frames",
            gives=("Rename_Images",),
            places={"Rename_Images": "Rename_Images"},
            by_hand=JHMDB_PAPER + "Rename_Images.tar.gz",
            dead=JHMDB_DEAD,
        ),
        Source(
            name="puppet_mask.zip",
            holds="the masks",
            gives=("puppet_mask",),
            places={"puppet_mask": "puppet_mask"},
            by_hand=JHMDB_PAPER + "puppet_mask.zip",
            dead=JHMDB_DEAD,
        ),
        _sentences("jhmdb_annotation.txt", "the sentences"),
    ),
)
DAVIS_FILES = "https://data.vision.ee.ethz.ch/csergi/share/davis/"  # what davischallenge.org links to
DAVIS = DataSet(
    title="Ref-DAVIS17",
    paper="A. Khoreva, A. Rohrbach, B. Schiele: Video Object Segmentation with Language Referring Expressions, "
    "ACCV 2018",
    page="https://davischallenge.org/davis2017/code.html",
    tree="DAVIS/{JPEGImages,Annotations_unsupervised}/480p/<sequence>/, DAVIS/ImageSets/2017/, "
    "DAVIS/davis_semantics.json and davis_text_annotations/",
    sources=(
        Source(
            name="DAVIS-2017-Unsupervised-trainval-480p.zip",
            holds="the frames and the masks of 2019",
            gives=("DAVIS/JPEGImages/480p", "DAVIS/Annotations_unsupervised/480p", "DAVIS/ImageSets/2017"),
            places={"DAVIS": "DAVIS"},
            url=DAVIS_FILES + "DAVIS-2017-Unsupervised-trainval-480p.zip",
        ),
        Source(
            name="DAVIS-2017_semantics-480p.zip",
            holds="the objects' categories",
            gives=("DAVIS/davis_semantics.json",),
            places={"DAVIS": "DAVIS", "davis_semantics.json": "DAVIS/davis_semantics.json"},
            url=DAVIS_FILES + "DAVIS-2017_semantics-480p.zip",
        ),
        Source(
            name="davis_text_annotations.zip",
            holds="the sentences",
            gives=("davis_text_annotations",),
            places={"davis_text_annotations": "davis_text_annotations"},
            url="https://www.mpi-inf.mpg.de/fileadmin/inf/d2/khoreva/davis_text_annotations.zip",
        ),
        Source(
            name="DAVIS-2017-trainval-480p.zip",
            holds="the masks of 2017, to compare with those of 2019",
            gives=("DAVIS/Annotations/480p",),
            places={"DAVIS": "DAVIS"},
            url=DAVIS_FILES + "DAVIS-2017-trainval-480p.zip",
            optional=True,
        ),
    ),
    converted="meta_expressions/valid/meta_expressions.json",
    note="The sentences' own page: https://www.mpi-inf.mpg.de/departments/computer-vision-and-machine-learning/"
    "research/video-segmentation/video-object-segmentation-with-language-referring-expressions",
)
YTVOS_HAND = "register with the official site, RVOS track"
YTVOS_DEAD = (
    "the links to train and valid were reported gone: "
    f"{THREAD.format('iSEE-Laboratory/ReferDINO', 12)}, {THREAD.format('ClaudiaCuttano/SAMWISE', 28)}; the authors "
    f"answer in {THREAD.format('skynbe/Refer-Youtube-VOS', 7)} and {THREAD.format('skynbe/Refer-Youtube-VOS', 8)}"
)
YTVOS_PARTS = ("JPEGImages", "Annotations", "meta.json")
YOUTUBE = DataSet(
    title="Refer-YouTube-VOS",
    paper="S. Seo, J.-Y. Lee, B. Han: URVOS: Unified Referring Video Object Segmentation Network with a Large-Scale "
    "Benchmark, ECCV 2020",
    page="https://youtube-vos.org/dataset/rvos/",
    tree="{train,valid}/JPEGImages/<video>/00000.jpg, train/Annotations/<video>/00000.png and "
    "meta_expressions/{train,valid}/meta_expressions.json",
    sources=(
        *(
            Source(
                name=f"{split}.zip",
                holds=f"{split}: the frames{' and the masks' if split == 'train' else ''}",
                gives=tuple(f"{split}/{part}" for part in YTVOS_PARTS[: 2 if split == "train" else 1]),
                places={split: split} | {part: f"{split}/{part}" for part in YTVOS_PARTS},
                patterns=(f"{split}.*",),
                by_hand=YTVOS_HAND,
                dead=YTVOS_DEAD,
                optional=split == "test",
            )
            for split in ("train", "valid", "test")
        ),
        Source(
            name="meta_expressions.zip",
            holds="the sentences",
            gives=tuple(f"meta_expressions/{split}/meta_expressions.json" for split in ("train", "valid")),
            places={"meta_expressions": "meta_expressions"},
            by_hand=YTVOS_HAND,
            dead=YTVOS_DEAD,
        ),
    ),
    note="The scoring server closed with CodaLab and its evaluator is not released "
    f"({THREAD.format('skynbe/Refer-Youtube-VOS', 9)}): score locally, on held-out training videos.",
)
MEVIS_HUB = "FudanCVL/MeViSv2"
MEVIS = DataSet(
    title="MeViS",
    paper="H. Ding, C. Liu, S. He, X. Jiang, C. C. Loy: MeViS: A Large-scale Benchmark for Video Segmentation with "
    "Motion Expressions, ICCV 2023",
    page="https://henghuiding.github.io/MeViS/",
    tree="{train,valid_u,valid}/{JPEGImages/<video>/00000.jpg,meta_expressions.json} and "
    "{train,valid_u}/mask_dict.json",
    sources=tuple(
        Source(
            name=f"{split}.zip",
            holds=f"{split}: frames, sentences{'' if split == 'valid' else ' and masks'}",
            gives=tuple(f"{split}/{part}" for part in ("JPEGImages", "meta_expressions.json", "mask_dict.json"))[
                : 2 if split == "valid" else 3
            ],
            places={split: split},
            patterns=(f"{split}.*", "*mevis*"),
            by_hand=f"hf download {MEVIS_HUB} --repo-type dataset --local-dir DIR (version 2), or the project page",
        )
        for split in ("train", "valid_u", "valid")
    ),
    note="The scoring server is https://www.codabench.org/competitions/11420/; the one on CodaLab was closing.",
)
OWN = DataSet(
    title="Your own data",
    paper="clips, masks and sentences that you make",
    page=f"{ADDRESS}/blob/main/docs/own_data.md",
    tree="sentences.json, clips/<clip>/00000.jpg or clips/<clip>.mp4, and masks/<clip>/00000.png",
    sources=(
        Source(
            name="own.zip",
            holds="everything, if you keep it in an archive",
            gives=("sentences.json", "clips", "masks"),
            places={"sentences.json": "sentences.json", "clips": "clips", "masks": "masks"},
            by_hand="make the three as the page tells, or pack them",
        ),
    ),
)
REFER = "lichengunc/refer"
REFCOCO = DataSet(
    title="RefCOCO",
    paper="S. Kazemzadeh, V. Ordonez, M. Matten, T. L. Berg: ReferItGame, EMNLP 2014; L. Yu, P. Poirson, S. Yang, "
    "A. C. Berg, T. L. Berg: Modeling Context in Referring Expressions, ECCV 2016",
    page=f"https://github.com/{REFER}",
    tree="instances.json, refs(unc).p or refs(umd).p, and train2014/COCO_train2014_000000000009.jpg ...",
    sources=(
        Source(
            name="refcoco.zip",
            holds="sentences and objects; those of RefCOCO+ and RefCOCOg are in refcoco+.zip and refcocog.zip",
            gives=("instances.json",),
            places={name: name for name in ("instances.json", "refs(unc).p", "refs(umd).p", "refs(google).p")},
            patterns=("refcoco*",),
            by_hand="the authors' thread names places",
            dead=f"the server of the addresses on the page is reported down: {THREAD.format(REFER, 14)}, "
            f"{THREAD.format(REFER, 23)}",
        ),
        Source(
            name="train2014.zip",
            holds="COCO's training pictures of 2014 (13 GB)",
            gives=("train2014",),
            places={"train2014": "train2014"},
            by_hand="http://images.cocodataset.org/zips/train2014.zip, or leave it out and link train2014 to a copy",
        ),
    ),
)
DATASETS = {
    "a2d": A2D,
    "jhmdb": JHMDB,
    "ref_davis": DAVIS,
    "refer_youtube_vos": YOUTUBE,
    "mevis": MEVIS,
    "own": OWN,
    "refcoco": REFCOCO,
}
# By the authors, of version 1: https://github.com/henghuiding/MeViS/issues/4
MEVIS_MASKS = {
    "train": "f9d9b01a2a6d7a004e2e7a664ce2b9b1576218e975030f8e4df4f66111fb253f",
    "valid_u": "6e711a3f713cd95a825f536323e434b4d80f85a8e4e66d0cd662408e8779db50",
}
