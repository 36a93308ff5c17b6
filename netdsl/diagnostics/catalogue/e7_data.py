"""Codes E07xx: data, run directories, pictures, traces and what a run asks of them."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry

_PAGES = (
    ("E0701", "data source needs a path, or its name is unknown",
     "A `data` declaration names a source that is neither built in nor fetched, and no path was "
     "given; or `--data NAME=PATH` has a name that the spec does not declare. Built in is "
     '"digits"; everything else comes from `--data`, from a path in `source`, or from '
     "`netdsl fetch`."),
    ("E0702", "data file is missing or cannot be opened",
     "The file or folder named by `source` or `--data` is not there, or may not be read. Paths of "
     "`--data` start at the working folder, those of a spec at the spec's folder."),
    ("E0703", "data file does not start as its format demands",
     "The first bytes say which format a file has. An IDX file starts with two zero bytes, a type "
     "and a number of axes. The file is another thing than its name says."),
    ("E0704", "data file is shorter or longer than its header says",
     "The header of the file gives the number of samples, and the file ends before or after them: "
     "a download or copy was cut off. Fetch the file again."),
    ("E0705", "compressed data file is damaged",
     "The gzip stream breaks off or fails its check sum. Fetch the file again."),
    ("E0706", "fields of one split have different numbers of samples",
     "Images and labels of a split go together one by one. The files come from different splits or "
     "data sets."),
    ("E0707", "data holds NaN or infinity",
     "Every value of the data must be a number: one NaN would reach every weight. The message says "
     "where the first one is."),
    ("E0708", "CSV table is malformed",
     "A table needs one header line, equally many cells in every line, and numbers only. The class "
     "goes into a column `label`."),
    ("E0709", "NPZ archive cannot be used",
     "An archive needs arrays `SPLIT_FIELD` such as train_image and train_label, made of numbers. "
     "Python objects are never loaded."),
    ("E0710", "split or slice does not exist",
     "`split dev = train[1300, 1500]` needs a split `train` of 1500 samples or more in the source. "
     "The message lists the splits that there are and their sizes."),
    ("E0711", "a field that is needed is missing",
     "The spec reads `sample.NAME`, and the data have no such field; or the data have no samples."),
    ("E0712", "data directory holds no known data set",
     "A folder of data holds IDX files, CIFAR's .bin files, train.csv, or exactly one .npz."),
    ("E0713", "pairs cannot be made from this data",
     "`wrong_label` needs labels of two classes or more; `mixed_image` needs images and two "
     "samples in a batch."),
    ("E0714", "data set could not be fetched",
     "`netdsl fetch` reads from OpenML. It needs the network and a name that OpenML knows."),
    ("E0715", "labels are not class numbers",
     "Labels are whole numbers from 0 on, one per sample."),
    ("E0716", "batches cannot be made",
     "A batch has at least one sample; with `partial = drop` a batch larger than the split leaves "
     "none."),
    ("E0717", "setting of a data source is unknown or of the wrong kind",
     "Images are divided by `scale`; then `mean` is subtracted and they are divided by `std`, each "
     "one number or a list of one per channel. None of the divisors is 0. Images with channels are "
     "stored as (samples, rows, columns, channels)."),
    ("E0718", "images of these data cannot be augmented",
     "`augment` crops and flips images, so the data need a field `image` of rows and columns, "
     "(samples, rows, columns) or (samples, rows, columns, channels); a table has none. `fill` is "
     "one number, or one per channel."),
    ("E0719", "a drawn field has the name of a stored one",
     "`draw z[10] ~ uniform(0, 1)` in `data` gives every stored sample a field `z`. The source "
     "holds a field of this name already."),
    ("E0720", "run directory is missing or is not one",
     "A run directory is what `netdsl run` makes and prints at its end; it holds spec.net. A run "
     "without a checkpoint is begun anew when it is continued."),
    ("E0721", "state file lacks a key or has one too many",
     "A state file has exactly the variables of the network, by path, such as `W1.w`. It was saved "
     "by another spec, or with other parameters."),
    ("E0722", "array has another shape",
     "An array that is loaded, or assigned to a variable, has another shape than the variable. "
     "Synapses are (pre, post), neurons (n,), per-sample values (rows, n)."),
    ("E0723", "file could not be written",
     "The disk is full, or the folder may not be written. The old file of that name is intact: new "
     "content takes its name only when all of it is on the disk."),
    ("E0724", "file of a run directory is damaged",
     "A file of the run was cut off or changed by other means."),
    ("E0725", "state file has weights where no synapse exists",
     "Which synapses of a sparse projection exist is drawn from the seed. The file was saved by a "
     "run with another seed, or with other connectivity."),
    ("E0730", "nothing to plot", "The run has logged no metrics and saved no weights yet."),
    ("E0731", "plot format is unknown", "Pictures are written as png or svg."),
    ("E0760", "run directory is in use",
     "A run goes on in this directory in another process, and two of them would overwrite each "
     "other's checkpoints. The directory is free as soon as that process ends, however it ends. "
     "(File systems without locks, as some network folders are, cannot tell.)"),
    ("E0761", "run cannot go on, or be judged, as asked",
     "A run that goes on is the same experiment: spec, parameters, seed, number type, data, "
     "protocol and --limit are those that it was begun with, and --epochs no fewer than begun. "
     "More epochs, another backend and other versions are allowed: they are said and noted in "
     "params.json. `netdsl eval` tests on the data that the run had, unless --data names others."),
    ("E0741", "trace does not fit the spec",
     "A trace names a protocol, phase or variable that the spec has not, feeds a variable that is "
     "not drawn, or leaves open which of several phases is meant."),
    ("E0742", "there is no such variable or phase",
     "State is addressed by path, such as `h1.v` or `W1.w`. A variable that nothing reads is not "
     "stored; `observe=` keeps it."),
    ("E0743", "protocol cannot be run",
     "A run names a protocol that the spec has not, or a phase has a negative number of steps."),
    ("E0744", "expression cannot be evaluated outside a step",
     "Metrics, schedules and initial values are evaluated outside the steps: they read states, "
     "phase ends, reductions over a phase, samples, weights and parameters."),
    ("E0745", "data field and population differ in size",
     "A population that is clamped to a field has one unit for each of its values: 784 units for "
     "images of 28 by 28."),
    ("E0746", "more classes than label units",
     "`onehot(sample.label)` needs one unit for every class of the data."),
    ("E0750", "data file is a device, a pipe or a socket",
     "Data are read from regular files alone: a device or a pipe may never end, or wait for ever. "
     "Store in a file what it gives."),
    ("E0751", "file does not fit into memory",
     "What a file will take is reckoned from its header, or from the list of contents of an "
     "archive, before it is read. Keep fewer samples in it."),
    ("E0747", "there is nothing of that name to show",
     "`netdsl show KIND SPEC NAME` takes the name of a declaration, routine or buffer."),
    ("E0748", "a sweep would go back through what did not run",
     "`update` of a `bptt` rule, and of a rule with states that runs in reverse, goes back through "
     "the phase that the protocol runs before it, all its steps; a rule with states counts from "
     "the last `reset`. Driven from Python, the phase has to run the same way."),
    ("E0749", "there is no such form of a rule",
     "`compile(form=...)` and `--form` take `auto`, `online` or `reverse`; `keep` takes `auto`, "
     "`store` or `recompute`."),
    ("E0775", "whole-number pixels are not bytes",
     "An `image` of whole numbers has pixels from 0 to 255, which are divided by 255 whatever "
     "integer type they are stored in. For others, `scale` in the data declaration says by what "
     "they are divided; 1 takes them as they are."),
    ("E0776", "pixels stored as floats are not scaled",
     "An `image` of floats, as of every CSV table, is taken as it is. Here its numbers lie between "
     "0 and 255 and reach beyond 127.5, as pixels do that were never divided. `scale = 255` in the "
     "data declaration divides them, `scale = 1` says that they are meant so."),
    ("E0777", "a draw's arguments are out of range",
     "Per-neuron parameters give a draw a negative standard deviation, a probability outside "
     "[0, 1] or ends in the wrong order. Constants are refused when the specification is checked "
     "(E0202); these are known when the network is built."),
)  # fmt: skip

ENTRIES: list[Entry] = [Entry(code, title, cause) for code, title, cause in _PAGES]
