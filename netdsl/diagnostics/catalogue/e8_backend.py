"""Codes E08xx: backends."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

LOSS = "loss E = mean(sum((b.s@run - onehot(sample.label))^2))\n"


def _reference(edge: str, phase: str) -> str:
    """A specification that learns by `bptt` along such an edge, through such a phase."""
    made = network(
        before=LOSS + 'allow non_local on bptt because "it is the reference"\n',
        edge=edge,
        rule="dw = pre.s",
        steps=f"{phase}; update W",
    )
    return made.replace("learn hebb()", "learn bptt(loss = E); optimise sgd(rate = 0.1)")


_STATE = "state f = 0; f := 0.9 * f + pre.s * post.s; dw = 0.01 * f"
_RELU = "state s = 0; s := relu(i)"
_SPIKES = "state v = 0; v := 0.9 * v + i; spike s when v > 1"
_TYPES, _PART = "unit[10] types { E: 8; I: 2 }", ("a -> b", "a -> b.E")

ENTRIES: list[Entry] = [
    Entry(
        "E0801",
        "a delivery does not factor",
        "Deliveries are matrix products: each term is a function of the synapse times one of the "
        "presynaptic and one of the postsynaptic unit. A function of two of these at once would "
        "be a value per synapse and sample.",
        network(deliver="i += tanh(w * pre.s)"),
        network(deliver="i += w * tanh(pre.s)"),
    ),
    Entry(
        "E0802",
        "a change of weights does not factor",
        "A rule's change is summed over the batch as products of a presynaptic and a postsynaptic "
        "factor, each weighted per synapse. A function of both ends at once would be a value per "
        "synapse and sample.",
        network(rule="dw = tanh(pre.s * post.s)"),
        network(rule="dw = tanh(pre.s) * tanh(post.s)"),
    ),
    Entry(
        "E0804",
        "a one_to_one projection learns",
        "One weight per pair of units is a parameter of the target's cell in this edition.",
        network(edge="one_to_one delay 0").replace("source[64]", "source[10]"),
        network(edge="dense delay 0").replace("source[64]", "source[10]"),
    ),
    Entry(
        "E0806",
        "`bptt` cannot differentiate this phase",
        "The backward sweep goes through a number of steps that is known before, and through "
        "weights that stay as they are in the phase: what changes at each step is kept for it.",
        _reference("dense delay 0", "phase run epoch steps"),
        _reference("dense delay 1 step", "phase run 5 steps"),
    ),
    Entry(
        "E0807",
        "the loss does not depend on this weight",
        "The backward sweep of `bptt` starts at what the loss reads of the phase before the\n"
        "`update`, and found no way back to this projection: its change would be 0. A value\n"
        "of the phase is read as `x@phase`; a way back leads along edges and earlier steps.",
        _reference("dense delay 0", "phase run 0 steps")
        .replace("state s = 0; s := relu(i)", "def s = relu(i)")
        .replace("b.s@run", "b.s"),
        _reference("dense delay 0", "phase run 1 step"),
    ),
    Entry(
        "E0856",
        "a derivative ends at a spike",
        "A spike is 0 or 1, and has a derivative only by its `surrogate`. `bptt` hands nothing on\n"
        "through one without; where every way from the loss to a weight goes through such spikes,\n"
        "the weight would never change.",
        _reference("dense delay 0", "phase run 5 steps").replace(_RELU, _SPIKES),
        _reference("dense delay 0", "phase run 5 steps").replace(
            _RELU, _SPIKES.replace("when v > 1", "when v > 1 { surrogate triangle() }")
        ),
    ),
    Entry(
        "E0810",
        "no C compiler was found",
        "The native backend looks at the variable CC, then for cc, gcc, clang and the package\n"
        "ziglang (`pip install netdsl[native]`). `--backend numpy` needs none.",
    ),
    Entry(
        "E0811",
        "the C compiler failed",
        "The message shows what the compiler said. Try another with CC=..., or run with\n"
        "`--backend numpy`.",
    ),
    Entry(
        "E0812",
        "the C compiler did not finish",
        "It was stopped after a while. Try another with CC=..., or run with `--backend numpy`.",
    ),
    Entry(
        "E0813",
        "nowhere to keep compiled kernels",
        "Neither the cache folder nor a temporary one can be written. Set NETDSL_CACHE to a\n"
        "folder with room, or run with `--backend numpy`.",
    ),
    Entry(
        "E0860",
        "a variable of the environment cannot be used",
        "CC is a command as a shell would read it, NETDSL_CC_TIMEOUT a number of seconds and\n"
        "NETDSL_CACHE_SIZE a number of MiB. Unset the variable that the message names, or mend it.",
    ),
    Entry(
        "E0814",
        "compiled kernels cannot be loaded",
        "The shared object was refused by this machine. `netdsl cache --clear` builds it anew.",
    ),
    Entry(
        "E0850",
        "no GPU can be used here",
        "CuPy, its CUDA libraries, a driver or a GPU is missing. `pip install netdsl[cuda12]` (or\n"
        "`cuda13`, as the driver asks) brings CuPy and the CUDA libraries, not the driver.\n"
        "`--backend native` and `numpy` need no GPU.",
    ),
    Entry(
        "E0851",
        "the network needs more memory than the device has free",
        "Everything is known before any is allocated. Make populations or batches smaller, use\n"
        "float32, or run with `--backend native`.",
    ),
    Entry(
        "E0852",
        "the GPU did not give the memory that was asked for",
        "Another program took it in between, or it is in too many pieces. Make populations or\n"
        "batches smaller, close other programs on the GPU, or run with `--backend native`.",
    ),
    Entry(
        "E0853",
        "a kernel failed on the GPU",
        "The message names the last kernel that began and the line of the spec it came from. The\n"
        "run stops; what was saved stays, and other programs can use the GPU at once.",
    ),
    Entry(
        "E0855",
        "an operation has no CUDA kernel",
        "The message names the operation and its line. `--backend native` and `--backend numpy`\n"
        "carry it.",
    ),
    Entry(
        "E0854",
        "the generated CUDA source does not compile",
        "NVRTC, which comes with CuPy's extras, compiles for the GPU; a C++ compiler compiles the\n"
        "same source for the CPU in tests. `--backend native` and `--backend numpy` need neither.",
    ),
    Entry(
        "E0815",
        "a backend lacks a template",
        "Each operation of a step program has one template in each backend's folder. The message\n"
        "names the missing one; another backend may carry the operation.",
    ),
    Entry(
        "E0816",
        "a backend cannot translate an expression",
        "The message names what it cannot say. `--backend numpy` is the reference.",
    ),
    Entry(
        "E0820",
        "the network needs more memory than the machine has",
        "All buffers are known before any is allocated: `netdsl show memory SPEC` lists them.\n"
        "Make populations or batches smaller, or use float32.",
    ),
    Entry(
        "E0821",
        "backend is unknown or cannot be loaded",
        "Backends are numpy, native (needs a C compiler) and cupy (needs a CUDA device and CuPy).\n"
        "`auto` takes native where there is a compiler, else numpy.",
    ),
    Entry("E0822", "number type is unknown", "Number types are float32 and float64."),
    Entry(
        "E0823",
        "delays are too long",
        "A delay line keeps one value of each unit for each of its steps, whatever a step then\n"
        "costs. All delays of a specification together may keep 2 GiB for one sample in float32;\n"
        "projections from one population share a line. What a batch needs is reckoned before a\n"
        "run (E0820), and `netdsl show memory SPEC` prints it.",
        network(edge="dense delay 1000000000 step"),
        network(edge="dense delay 20 step"),
    ),
    Entry(
        "E0840",
        "a rule keeps states where synapses have none of their own",
        "A state of a rule is one number for each synapse and sample. Where one kernel stands for "
        "all positions, or a unit has one synapse, there is no synapse to keep it at. Traces in "
        "the presynaptic or the postsynaptic cell say the same of one end.",
        network(edge="one_to_one delay 0", rule=_STATE).replace("source[64]", "source[10]"),
        network(rule=_STATE),
    ),
    Entry(
        "E0841",
        "a rule keeps states at the synapses of a part of a population",
        "A state for each synapse and sample that advances with each step is offered where a "
        "projection joins whole populations. States that follow from one end alone are kept at its "
        "units, and rules that run in reverse keep nothing at synapses: both serve parts too.",
        network(rule=_STATE, edge="dense delay 0").replace("unit[10]", _TYPES).replace(*_PART),
        network(rule=_STATE, edge="dense delay 0"),
    ),
    Entry(
        "E0847",
        "what `bptt` goes back through was changed since",
        "The backward sweep of an `update` reads weights, and states as the phase left them. A\n"
        "statement between the phase and the `update` that stores to one of them (`set`, `reset`,\n"
        "another `update`, another phase, or the same `update` in a loop of its own) would give\n"
        "the gradient of a phase that never ran.",
        _reference("dense delay 0", "phase run 1 step; reset"),
        _reference("dense delay 0", "reset; phase run 1 step"),
    ),
    Entry(
        "E0865",
        "recordings need more memory than the machine has",
        "What an evaluation records is kept until it ends: steps x samples x units numbers. It is\n"
        "reckoned before the run starts. Record fewer steps (`every 10 steps`) or samples\n"
        "(`limit 100 samples`), or on one evaluation only (`on test`).",
    ),
    Entry(
        "E0870",
        "there is no loss to take the gradient of",
        "`netdsl align` needs the loss that the rules are meant to lower. Declare it\n"
        "(`loss E = mean(cross_entropy(softmax(out.o@run), sample.label))`), or give it as an\n"
        'expression: `netdsl align SPEC --loss "mean(…)"`.',
    ),
    Entry(
        "E0871",
        "which loss is meant is not clear",
        "The spec declares several losses, or none of the name given. Say `--loss NAME`.",
    ),
    Entry(
        "E0872",
        "nothing learns in the protocol",
        "`netdsl align` compares updates of the projections that an `update` or a learning phase\n"
        "of the protocol names, and this one names none. `--protocol` takes another.",
    ),
    Entry(
        "E0873",
        "the loss reads a phase that the protocol does not run",
        "The gradient is that of the loss at the end of a phase of the protocol that trains.\n"
        "A loss that reads a phase of the test only has no gradient there: read a phase of\n"
        "training, or give another loss with `--loss`.",
    ),
    Entry(
        "E0874",
        "nothing learns from batches",
        "`netdsl align` compares batch by batch, so what learns must stand in a loop over data:\n"
        "`each batch of DATA.train { … }`.",
    ),
    Entry(
        "E0899",
        "internal error",
        "A fault of netdsl, not of the spec. Run again with `netdsl --debug ...` and report what\n"
        "it prints.",
    ),
    Entry(
        "E0831",
        "not offered by this edition's backends",
        (
            "A part of the language that is described but that no backend carries yet: vectors per "
            "neuron, events in rules, fitted tables, delays of single synapses. The message says "
            "what to write instead."
        ),
        network(more="fit f = b.s on digits.train"),
        network(),
    ),
]
