"""Data sets that need no files: scikit-learn's bundled ones and a simulated one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .arrays import BOX_NOTE
from .box import Box
from .partition import stratified_split
from .split import DataSet, Split


def load_digits() -> DataSet:
    """scikit-learn's 1797 scans of 8 x 8 pixels, 17 grey levels."""
    from sklearn import datasets

    digits = datasets.load_digits()
    whole = Split(digits.images.astype(np.uint8), digits.target, levels=16)
    train, test = stratified_split(whole.labels, 0.2)
    return DataSet("digits", whole.take(train), whole.take(test), 10, parted=True)


def load_wine() -> DataSet:
    """178 Italian wines of 3 cultivars by 13 chemical measurements (UCI, scikit-learn)."""
    from sklearn import datasets

    return _table("wine", datasets.load_wine())


def load_breast_cancer() -> DataSet:
    """569 breast tumours by 30 measurements of cell nuclei (UCI, scikit-learn)."""
    from sklearn import datasets

    return _table("breast-cancer", datasets.load_breast_cancer())


def load_diabetes() -> DataSet:
    """442 patients by 10 measurements; a regression of the disease's progress in a year."""
    from sklearn import datasets

    return _table("diabetes", datasets.load_diabetes(scaled=False), regression=True)


def _table(name: str, bunch: object, regression: bool = False) -> DataSet:
    x: npt.NDArray[np.float64] = bunch.data  # type: ignore[attr-defined]
    y = bunch.target.astype(np.float64 if regression else np.int64)  # type: ignore[attr-defined]
    names = tuple(map(str, bunch.feature_names))  # type: ignore[attr-defined]
    whole = Split(x, y, box=Box.around(x, names=names))
    train, test = stratified_split(y, 0.2)
    classes = () if regression else tuple(map(str, bunch.target_names))  # type: ignore[attr-defined]
    return DataSet(
        name,
        whole.take(train),
        whole.take(test),
        len(classes),
        classes or None,
        names,
        (BOX_NOTE,),
        parted=True,
    )


RATE = 4000.0  # samples a second
LENGTH = 128
FULL_SCALE = 50.0  # of the simulated accelerometer, m/s^2
CONDITIONS = ("healthy", "unbalanced", "bearing fault")


def load_vibration(count: int = 900, seed: int = 0) -> DataSet:
    """Simulated vibration of a machine: a physical model, no measurement.

    Two accelerometers at right angles on the housing of a rotor's bearing, 128 samples at 4 kHz,
    in m/s^2. The shaft turns 40 to 60 times a second. Its unbalance shakes the housing once a
    turn, five times as strongly if "unbalanced". With a "bearing fault", each ball that rolls over
    a pit in the outer ring (3.6 times a turn) strikes it, and the housing rings at its resonance
    (a damped oscillator, 700 to 900 Hz, damping ratio 0.05). Noise has a deviation of 0.6 m/s^2.

    Args:
        count: samples, a third of each condition; a fifth is the test split.
        seed: of the simulation.
    """
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(CONDITIONS)
    time = np.arange(LENGTH) / RATE
    signals = np.empty((count, 2, LENGTH))
    for signal, label in zip(signals, labels, strict=True):
        turns = generator.uniform(40, 60)
        strength = generator.uniform(1.0, 2.0) * (5 if label == 1 else 1)
        phase = generator.uniform(0, 2 * np.pi)
        for axis, lag in enumerate((0.0, np.pi / 2)):  # the force turns with the shaft
            signal[axis] = strength * np.cos(2 * np.pi * turns * time + phase + lag)
        if label == 2:
            resonance = 2 * np.pi * generator.uniform(700, 900)
            first = generator.uniform(-1, 0) / (3.6 * turns)
            strikes = np.arange(first, time[-1], 1 / (3.6 * turns))
            since = time[:, None] - strikes
            ringing = np.exp(-0.05 * resonance * since) * np.sin(resonance * since)
            # The load presses on the pit from one side: the second axis feels half of it.
            struck = np.where(since >= 0, ringing, 0).sum(1) * generator.uniform(6, 12)
            signal += struck * np.array([[1.0], [0.5]])
        signal += generator.normal(0, 0.6, signal.shape)
    signals = np.clip(signals, -FULL_SCALE, FULL_SCALE)  # as the sensor does
    limit = np.full(signals.shape[1:], FULL_SCALE)
    whole = Split(signals, labels, box=Box(-limit, limit), layout="NCT")
    train, test = stratified_split(labels, 0.2, seed)
    note = "simulated by a physical model, not measured; the box is the sensor's full scale"
    return DataSet(
        "vibration",
        whole.take(train),
        whole.take(test),
        3,
        CONDITIONS,
        notes=(note,),
        parted=True,
    )
