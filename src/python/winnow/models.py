"""models.py -- opening models, and the words that options are given in."""
import os

from . import _winnow

# In the order of <winnow/core.h>, <winnow/model.h>, <winnow/search.h>, <winnow/text.h>
# and <winnow/analysis.h>.
PRECISIONS = ("f32", "bf16", "int8", "auto")
LENGTH_POLICIES = ("truncate", "error", "windows")
FIRST_STAGES = ("dense", "bm25", "hybrid")
UNITS = ("characters", "tokens")
LABEL_LEVELS = ("document", "passage")


def number_of(word, words, what):
    """Where a word stands among those that an option knows."""
    if word in words:
        return words.index(word)
    raise ValueError(f"{what} is {word!r}; it may be " + ", ".join(words))


def open_model(name, precision="f32", max_length=None, device=None):
    """A directory, or a name in winnow's cache, as an opened model."""
    if device not in (None, "cpu"):
        raise ValueError(f"device is {device!r}; winnow computes on the CPU")
    return _winnow.Model(os.fsencode(name), number_of(precision, PRECISIONS, "precision"), max_length or 0)


def made_of(cls, given, **options):
    """An object of that class as it is, or a new one of the model that is named."""
    return given if isinstance(given, cls) else cls(given, **options)


def model_path(name):
    """Where a model lies that is named as in the cache."""
    return _winnow.model_path(os.fsencode(name))


def pull(name, revision=None, token=None, progress=None):
    """Fetches a model from the Hugging Face hub into winnow's cache, and returns where it lies. progress(stage, done,
    total) is called now and then."""
    return _winnow.model_pull(name, revision, token, progress)


def version():
    return _winnow.version()


def one_of(new, old, old_name):
    """An argument that sentence-transformers has renamed: both names are taken."""
    if (new is None) == (old is None):
        raise TypeError(f"give inputs (or {old_name}, its old name), and only one of them")
    return old if new is None else new


def slices(n, size, show):
    """[begin, end) of parts, between which Ctrl-C is heard; with a progress bar where tqdm is installed."""
    starts = range(0, n, size)
    if show:
        try:
            from tqdm.auto import tqdm
            starts = tqdm(starts, desc="Batches")
        except ImportError:
            pass
    for start in starts:
        yield start, min(start + size, n)


def to_tensor(array):
    """For convert_to_tensor, which needs torch as nothing else here does."""
    import torch
    return torch.from_numpy(array) if array.ndim else torch.tensor(array.item())
