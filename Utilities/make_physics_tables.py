"""Make the tables of DeepDRRSlicerLib/data from xraylib (cross-sections) and spekpy (tungsten spectra).

    pip install numpy scipy xraylib==4.3.0 spekpy==2.5.4
    python Utilities/make_physics_tables.py [FOLDER]
    python Utilities/make_physics_tables.py --anode-depth

The second prints the two numbers of physics/anode.py and makes no file. Neither library is needed at run time.
Arrays of physics_tables.npz (all little-endian, no pickles):

    energies              (k,)    keV    knots of the coefficients; an absorption edge is a pair of equal energies
    mass_attenuation      (m, k)  cm2/g  total, coherent scatter included
    mass_energy_transfer  (m, k)  cm2/g
    density               (m,)    g/cm3  nominal
    bin_edges             (n+1,)  keV    spectral bins: 1 keV wide, split at the K edges of SPLIT_AT
    tube_voltages         (v,)    kV
    fluence               (v, n)  photons/(mm2 mAs) in each bin at 1 m, no added filter, no air path
    mean_energies         (v, n)  keV    mean photon energy in each bin
    metadata              ()      JSON: material names, compositions, sources, versions of the libraries

and of transport_tables.npz, for the same materials and knots:

    compton               (m, k)  cm2/g  incoherent scatter, electron binding included
    rayleigh              (m, k)  cm2/g  coherent scatter
    momentum_transfer     (q,)    1/A    sin(angle / 2) / wavelength
    incoherent_function   (m, q)  share of the electrons that are free at a momentum transfer, 0 to 1
    form_factor_integral  (m, q)  integral of the squared form factor over the squared momentum transfer, 1 at its end
"""

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).resolve().parents[1] / "DeepDRRSlicer" / "DeepDRRSlicerLib" / "data"

LOWEST, HIGHEST = 1, 150  # keV
SPLIT_AT = ("I", "Cs", "Gd", "Ta", "W", "Pb")  # K edges inside the diagnostic range
TUBE_VOLTAGES = range(40, 126)  # kV
ANODE_ANGLE = 12.0  # degrees
FINE = 0.05  # keV, width of spekpy's bins before they are gathered into ours
ELECTRON_REST_ENERGY = 510.99895  # keV

NIST = "NIST X-Ray Mass Attenuation Coefficients (NISTIR 5632), table 2"
NIST_ELEMENT = "NIST X-Ray Mass Attenuation Coefficients (NISTIR 5632), table 1"

# name: (density g/cm3, composition by mass (dict) or chemical formula (str), source)
MATERIALS = {
    "air": (1.205e-3, {"C": 0.000124, "N": 0.755268, "O": 0.231781, "Ar": 0.012827}, f"{NIST}: dry, near sea level"),
    "water": (1.0, {"H": 0.111898, "O": 0.888102}, f"{NIST}"),
    "lung": (
        0.26,
        {"H": 0.103, "C": 0.105, "N": 0.031, "O": 0.749, "Na": 0.002, "P": 0.002, "S": 0.003, "Cl": 0.003, "K": 0.002},
        f"{NIST}: lung tissue (ICRU-44), density of inflated lung (ICRU-44)",
    ),
    "adipose": (
        0.95,
        {"H": 0.114, "C": 0.598, "N": 0.007, "O": 0.278, "Na": 0.001, "S": 0.001, "Cl": 0.001},
        f"{NIST}: adipose tissue (ICRU-44)",
    ),
    "soft tissue": (
        1.06,
        {"H": 0.102, "C": 0.143, "N": 0.034, "O": 0.708, "Na": 0.002, "P": 0.003, "S": 0.003, "Cl": 0.002, "K": 0.003},
        f"{NIST}: tissue, soft (ICRU-44)",
    ),
    "muscle": (
        1.05,
        {"H": 0.102, "C": 0.143, "N": 0.034, "O": 0.710, "Na": 0.001, "P": 0.002, "S": 0.003, "Cl": 0.001, "K": 0.004},
        f"{NIST}: muscle, skeletal (ICRU-44)",
    ),
    "blood": (
        1.06,
        {
            "H": 0.102,
            "C": 0.110,
            "N": 0.033,
            "O": 0.745,
            "Na": 0.001,
            "P": 0.001,
            "S": 0.002,
            "Cl": 0.003,
            "K": 0.002,
            "Fe": 0.001,
        },
        f"{NIST}: blood, whole (ICRU-44)",
    ),
    "bone": (
        1.92,
        {
            "H": 0.034,
            "C": 0.155,
            "N": 0.042,
            "O": 0.435,
            "Na": 0.001,
            "Mg": 0.002,
            "P": 0.103,
            "S": 0.003,
            "Ca": 0.225,
        },
        f"{NIST}: bone, cortical (ICRU-44)",
    ),
    "spongiosa": (
        1.18,
        {
            "H": 0.085,
            "C": 0.404,
            "N": 0.028,
            "O": 0.367,
            "Na": 0.001,
            "Mg": 0.001,
            "P": 0.034,
            "S": 0.002,
            "Cl": 0.002,
            "K": 0.001,
            "Ca": 0.074,
            "Fe": 0.001,
        },
        "ICRU-44 skeleton, spongiosa (as in the PEGS4 density files of EGSnrc)",
    ),
    "soft tissue TG-195": (
        1.03,
        {
            "H": 0.104818,
            "C": 0.256087,
            "N": 0.027000,
            "O": 0.602107,
            "Na": 0.000987,
            "P": 0.001995,
            "S": 0.003019,
            "Cl": 0.001991,
            "K": 0.002002,
        },
        "AAPM TG-195 (Sechopoulos et al. 2015), case 2, atom percentages turned into mass fractions",
    ),
    "hydroxyapatite": (3.16, "Ca5P3O13H", "Handbook of Mineralogy: hydroxylapatite, Ca5(PO4)3(OH), calculated density"),
    "PMMA": (1.19, {"H": 0.080541, "C": 0.599846, "O": 0.319613}, f"{NIST}: polymethyl methacrylate"),
    "bone cement": (
        1.29,
        {"H": 0.072487, "C": 0.539861, "O": 0.313619, "Zr": 0.074033},
        "90 % PMMA and 10 % ZrO2 by mass, as where the powder of a cement holds 15 % ZrO2; density without pores",
    ),
    "PEEK": (1.32, "C19H12O3", "repeat unit of polyether ether ketone; density of implant grade (ASTM F2026)"),
    "aluminium": (2.699, "Al", NIST_ELEMENT),
    "titanium": (4.54, "Ti", NIST_ELEMENT),
    "iron": (7.874, "Fe", NIST_ELEMENT),
    "copper": (8.96, "Cu", NIST_ELEMENT),
    "iodine": (4.93, "I", NIST_ELEMENT),
    "tantalum": (16.65, "Ta", NIST_ELEMENT),
    "tungsten": (19.3, "W", NIST_ELEMENT),
    "lead": (11.35, "Pb", NIST_ELEMENT),
    "stainless steel 316L": (
        7.99,
        {"Si": 0.007, "Cr": 0.170, "Mn": 0.010, "Fe": 0.668, "Ni": 0.120, "Mo": 0.025},
        "ASTM A240 type 316L, middle of the ranges (as in the PEGS4 density files of EGSnrc)",
    ),
    "CoCrMo": (8.30, {"Co": 0.655, "Cr": 0.285, "Mo": 0.060}, "ASTM F75, middle of the ranges of Cr and Mo, rest Co"),
    "nitinol": (6.45, {"Ni": 0.558, "Ti": 0.442}, "ASTM F2063, middle of the range of Ni, rest Ti"),
    "iohexol": (
        2.17,
        "C19H26I3N3O9",
        "formula; density in solution, from 647 mg/mL iohexol at specific gravity 1.349 (Omnipaque 300 label)",
    ),
    "CsI": (4.51, "CsI", f"{NIST}: cesium iodide"),
    "gadolinium oxysulfide": (7.44, "Gd2O2S", f"{NIST}: gadolinium oxysulfide"),
}


def composition_by_mass(definition):
    """Mass fractions by atomic number of a dict of mass fractions by symbol or of a chemical formula."""
    import xraylib

    if isinstance(definition, str):
        parsed = xraylib.CompoundParser(definition)
        return dict(zip(parsed["Elements"], parsed["massFractions"], strict=True))
    total = sum(definition.values())
    if abs(total - 1.0) > 2e-3:
        raise ValueError(f"mass fractions add up to {total}")
    return {xraylib.SymbolToAtomicNumber(symbol): fraction / total for symbol, fraction in definition.items()}


def elements_of(compositions):
    return sorted({z for composition in compositions for z in composition})


def absorption_edges(elements):
    """(jump, below, above) in keV of every edge.

    `jump` is where xraylib's coefficients jump, which is up to 4 eV off its own list of edge energies, and so found by
    bisection. `below` and `above` are the nearest energies at which both agree on which shells take part.
    """
    import xraylib

    edges = set()
    for z in elements:
        for shell in range(xraylib.K_SHELL, xraylib.M5_SHELL + 1):
            try:
                listed = xraylib.EdgeEnergy(z, shell)
            except ValueError:  # the element has no such shell
                continue
            if not LOWEST + 0.02 < listed < HIGHEST - 0.02:
                continue
            low, high = listed - 0.012, listed + 0.012
            while high - low > 1e-7:
                middle = 0.5 * (low + high)
                at = [np.log(xraylib.CS_Total(z, energy)) for energy in (low, middle, high)]
                low, high = (low, middle) if abs(at[1] - at[0]) > abs(at[2] - at[1]) else (middle, high)
            jump = round(0.5 * (low + high), 6)
            edges.add((jump, min(jump, listed) - 1e-5, max(jump, listed) + 1e-5))
    return sorted(edges)


def knot_energies(elements):
    """Knots (k,) in keV, an edge twice, and the energies (k,) at which the coefficients of the knots are taken."""
    edges = absorption_edges(elements)
    jumps = [jump for jump, _, _ in edges]
    smooth = np.setdiff1d(np.arange(LOWEST, HIGHEST + 1.0), jumps)
    knots = np.concatenate([smooth, np.repeat(jumps, 2)])
    sampled = np.concatenate([smooth, np.ravel([[below, above] for _, below, above in edges])])
    order = np.argsort(knots, kind="stable")
    return knots[order], sampled[order]


def mass_attenuation(z, energy):
    """Total mass attenuation coefficient of an element, cm2/g."""
    import xraylib

    return xraylib.CS_Total(z, energy)


# Cosines of the scattering angle and weights, for the mean energy of the Compton electron.
COSINE, COSINE_WEIGHT = np.polynomial.legendre.leggauss(64)


def compton_energy_fraction(z, energy):
    """Mean fraction of the photon energy that a Compton electron takes, electron binding included."""
    import xraylib

    transferred = 1.0 - 1.0 / (1.0 + energy / ELECTRON_REST_ENERGY * (1.0 - COSINE))
    angular = np.array([xraylib.DCS_Compt(z, energy, angle) for angle in np.arccos(COSINE)]) * COSINE_WEIGHT
    return float(angular @ transferred / angular.sum())


def fluorescence_per_photon_energy(z, energy):
    """Energy that leaves as K and L fluorescence, in cm2/g of photoelectric coefficient."""
    import xraylib

    # Siegbahn and IUPAC line macros are negative integers that run from K to L3.
    shells = (
        (xraylib.K_SHELL, range(xraylib.KL1_LINE, xraylib.KP5_LINE - 1, -1)),
        (xraylib.L1_SHELL, range(xraylib.L1L2_LINE, xraylib.L1P5_LINE - 1, -1)),
        (xraylib.L2_SHELL, range(xraylib.L2L3_LINE, xraylib.L2Q1_LINE - 1, -1)),
        (xraylib.L3_SHELL, range(xraylib.L3M1_LINE, xraylib.L3Q1_LINE - 1, -1)),
    )
    total = 0.0
    for shell, lines in shells:
        rates, energies = [], []
        for line in lines:
            try:
                rate, line_energy = xraylib.RadRate(z, line), xraylib.LineEnergy(z, line)
            except ValueError:  # no such line in this element
                continue
            rates.append(rate)
            energies.append(line_energy)
        if not rates or energy <= xraylib.EdgeEnergy(z, shell):
            continue
        try:
            # The share of a shell changes slowly, but xraylib's wavers by per cents just above the edge.
            clear = max(energy, 1.01 * xraylib.EdgeEnergy(z, shell))
            share = xraylib.CS_Photo_Partial(z, shell, clear) / xraylib.CS_Photo_Total(z, clear)
            vacancies = xraylib.CS_Photo(z, energy) * share * xraylib.FluorYield(z, shell)
        except ValueError:  # no data: a shell too light to fluoresce
            continue
        total += vacancies * np.average(energies, weights=rates) / energy
    return total


def mass_energy_transfer(z, energy):
    """Mass energy-transfer coefficient of an element, cm2/g.

    tau (1 - X/E) + sigma_C <T>/E, with X the fluorescence energy per photoelectric event. xraylib's CS_Energy is not
    used: it is up to 37 % low for light elements. Bremsstrahlung losses (mu_en) are below 0.2 % here.
    """
    import xraylib

    compton = xraylib.CS_Compt(z, energy) * compton_energy_fraction(z, energy)
    return xraylib.CS_Photo(z, energy) - fluorescence_per_photon_energy(z, energy) + compton


def mixed(coefficient, compositions, energies):
    """Coefficients (m, k) of the mixtures; `coefficient` is a function of (atomic number, keV)."""
    of_element = {z: np.array([coefficient(z, energy) for energy in energies]) for z in elements_of(compositions)}
    return np.array([sum(part * of_element[z] for z, part in composition.items()) for composition in compositions])


# Photons of 150 keV that are turned back transfer 12.1 / A. Denser at the origin, where the form factors fall off.
MOMENTUM_TRANSFER = 12.2 * np.linspace(0.0, 1.0, 401) ** 2
FORM_FACTOR_STEPS = 8  # between two of these, for the integral


def compton(z, energy):
    """Incoherent scatter, cm2/g."""
    import xraylib

    return xraylib.CS_Compt(z, energy)


def rayleigh(z, energy):
    """Coherent scatter, cm2/g."""
    import xraylib

    return xraylib.CS_Rayl(z, energy)


SMALLEST_TRANSFER = 0.005  # 1/A, where xraylib's table of the incoherent function begins; it is square before


def incoherent_function(composition):
    """(q,) of a mixture: sum over its electrons, divided by their number."""
    import xraylib

    def of_element(z, q):
        known = max(q, SMALLEST_TRANSFER)
        return xraylib.SF_Compt(z, known) * (q / known) ** 2

    atoms = {z: fraction / xraylib.AtomicWeight(z) for z, fraction in composition.items()}
    scattering = sum(number * np.array([of_element(z, q) for q in MOMENTUM_TRANSFER]) for z, number in atoms.items())
    return np.clip(scattering / sum(number * z for z, number in atoms.items()), 0.0, 1.0)


def form_factor_integral(composition):
    """(q,) of a mixture of independent atoms: integral of F2 over the squared momentum transfer, 1 at its end."""
    import xraylib

    q = np.unique(
        np.concatenate(
            [
                np.linspace(a, b, FORM_FACTOR_STEPS + 1)
                for a, b in zip(MOMENTUM_TRANSFER, MOMENTUM_TRANSFER[1:], strict=False)
            ]
        )
    )
    squared = sum(
        fraction / xraylib.AtomicWeight(z) * np.array([xraylib.FF_Rayl(z, value) ** 2 for value in q])
        for z, fraction in composition.items()
    )
    steps = 0.5 * (squared[1:] + squared[:-1]) * np.diff(q**2)
    integral = np.concatenate([[0.0], np.cumsum(steps)])
    return np.interp(MOMENTUM_TRANSFER, q, integral) / integral[-1]


def write_transport_tables(path, compositions, sampled):
    """The tables of photon transport; knots and materials are those of the other file."""
    np.savez_compressed(
        path,
        compton=mixed(compton, compositions, sampled).astype(np.float32),
        rayleigh=mixed(rayleigh, compositions, sampled).astype(np.float32),
        momentum_transfer=MOMENTUM_TRANSFER,
        incoherent_function=np.array([incoherent_function(c) for c in compositions], dtype=np.float32),
        form_factor_integral=np.array([form_factor_integral(c) for c in compositions]),
    )


def spectral_bin_edges():
    import xraylib

    k_edges = [xraylib.EdgeEnergy(xraylib.SymbolToAtomicNumber(symbol), xraylib.K_SHELL) for symbol in SPLIT_AT]
    return np.union1d(np.arange(LOWEST, HIGHEST + 1.0), np.round(k_edges, 3))


def tube_spectrum(kvp, bin_edges):
    """Fluence (n,) in photons/(mm2 mAs) at 1 m and mean photon energy (n,) of each bin, unfiltered."""
    import spekpy

    tube = spekpy.Spek(kvp=kvp, th=ANODE_ANGLE, dk=FINE, physics="casim", z=100.0, mas=1.0)
    energy, photons = tube.get_spectrum(diff=False)
    photons = photons / 100.0  # per cm2 -> per mm2
    # Gather fine bins: differences of the running sums, so that a fine bin across one of our edges is shared.
    fine_edges = np.append(energy - FINE / 2, energy[-1] + FINE / 2)
    running = np.concatenate([[0.0], np.cumsum(photons)])
    running_energy = np.concatenate([[0.0], np.cumsum(photons * energy)])
    fluence = np.diff(np.interp(bin_edges, fine_edges, running))
    energy_fluence = np.diff(np.interp(bin_edges, fine_edges, running_energy))
    middle = 0.5 * (bin_edges[1:] + bin_edges[:-1])
    filled = fluence > 0
    mean_energy = np.where(filled, energy_fluence / np.where(filled, fluence, 1.0), middle)
    return fluence, np.clip(mean_energy, bin_edges[:-1], bin_edges[1:])


def anode_depth():
    """Depth of photon production in the anode as (g/cm2 at 80 kV, exponent of the tube voltage), from off-axis spectra.

    For each voltage the depth, along the normal of the target, with which additional self-filtration best turns the
    spectrum of the central ray into those off the axis, by air kerma; then a power law through the depths.
    """
    import spekpy

    voltages, offsets = (
        range(40, 121, 10),
        (-15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0),
    )  # kV, cm at 1 m, + to the cathode
    air = composition_by_mass(MATERIALS["air"][1])
    angle = np.deg2rad(ANODE_ANGLE)
    depths = []
    for kvp in voltages:
        print(f"\r{kvp} kV", end="", file=sys.stderr, flush=True)
        kerma = {}
        for offset in offsets:
            # Filters at a right angle to every ray, so that the anode alone tells the rays apart.
            tube = spekpy.Spek(kvp=kvp, th=ANODE_ANGLE, dk=0.5, physics="casim", x=offset, z=100.0, mas=1.0, obli=False)
            energy, photons = tube.filter("Al", 3.0).get_spectrum(diff=False)
            used = energy > LOWEST
            energy = energy[used]
            if not kerma:
                tungsten = np.array([mass_attenuation(74, e) for e in energy])
                transfer = mixed(mass_energy_transfer, [air], energy)[0]
            kerma[offset] = photons[used] * energy * transfer * (1.0 + (offset / 100.0) ** 2)

        def deviation(depth, kerma=kerma, tungsten=tungsten):
            """Sum of the squared logarithms of predicted over true air kerma."""
            total = 0.0
            for offset, true in kerma.items():
                steepness = (np.sin(angle) + offset / 100.0 * np.cos(angle)) / np.hypot(1.0, offset / 100.0)
                layer = depth * (1.0 / steepness - 1.0 / np.sin(angle))
                total += np.log((kerma[0.0] * np.exp(-tungsten * layer)).sum() / true.sum()) ** 2
            return total

        candidates = np.arange(1e-4, 6e-3, 1e-5)
        depths.append(candidates[np.argmin([deviation(depth) for depth in candidates])])
    print(file=sys.stderr)
    exponent, logarithm = np.polyfit(np.log(np.array(voltages) / 80.0), np.log(depths), 1)
    return float(np.exp(logarithm)), float(exponent)


def symbols(composition):
    import xraylib

    return {xraylib.AtomicNumberToSymbol(z): round(fraction, 6) for z, fraction in composition.items()}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=OUTPUT)
    parser.add_argument("--anode-depth", action="store_true", help="print the depth of photon production and stop")
    options = parser.parse_args(arguments)
    output = options.folder / "physics_tables.npz"
    if options.anode_depth:
        depth, exponent = anode_depth()
        print(f"{depth:.3e} g/cm2 at 80 kV, exponent {exponent:.3f}")
        return

    compositions = [composition_by_mass(definition) for _, definition, _ in MATERIALS.values()]
    knots, sampled = knot_energies(elements_of(compositions))
    write_transport_tables(options.folder / "transport_tables.npz", compositions, sampled)
    bin_edges = spectral_bin_edges()
    spectra = []
    for kvp in TUBE_VOLTAGES:
        print(f"\r{kvp} kV", end="", file=sys.stderr, flush=True)
        spectra.append(tube_spectrum(kvp, bin_edges))
    print(file=sys.stderr)

    metadata = {
        "format": "DeepDRRSlicer physics tables 1",
        "materials": [
            {"name": name, "composition": symbols(composition), "source": source}
            for (name, (_, _, source)), composition in zip(MATERIALS.items(), compositions, strict=True)
        ],
        "spectra": f"spekpy casim, tungsten, {ANODE_ANGLE:g} degrees, no added filter, no air path, 1 m",
        "versions": {library: version(library) for library in ("xraylib", "spekpy")},
    }
    np.savez_compressed(
        output,
        energies=knots,
        mass_attenuation=mixed(mass_attenuation, compositions, sampled).astype(np.float32),
        mass_energy_transfer=mixed(mass_energy_transfer, compositions, sampled).astype(np.float32),
        density=np.array([density for density, _, _ in MATERIALS.values()]),
        bin_edges=bin_edges,
        tube_voltages=np.array(TUBE_VOLTAGES, dtype=np.int32),
        fluence=np.array([fluence for fluence, _ in spectra], dtype=np.float32),
        mean_energies=np.array([mean_energy for _, mean_energy in spectra], dtype=np.float32),
        metadata=np.array(json.dumps(metadata)),
    )
    print(f"{output}: {output.stat().st_size / 1000:.0f} kB, {len(MATERIALS)} materials, {len(knots)} knots")


if __name__ == "__main__":
    main()
