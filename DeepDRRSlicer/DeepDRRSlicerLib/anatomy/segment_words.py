"""Words of anatomy and implants, and SNOMED CT codes, that tell a segment's material.

The first rule with a word, or a row of words, of the segment's name holds: so a femoral artery is a vessel, a hip
implant metal and an intervertebral disc no bone. Plurals in s are understood.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in " ".join(text.split()).split(","))


# Material of substances.substance, or "unsegmented", and words.
RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("bone", _words("growth plate, end plate, endplate, rib cage")),
    ("titanium", _words("titanium, ti 6 al 4 v")),
    ("stainless steel 316L", _words("steel, stainless, 316 l")),
    ("CoCrMo", _words("cobalt, cocr, cocrmo, co cr, co cr mo")),
    ("nitinol", _words("nitinol")),
    ("tantalum", _words("tantalum")),
    ("tungsten", _words("tungsten")),
    ("PEEK", _words("peek")),
    ("bone cement", _words("bone cement, cement")),
    ("PMMA", _words("pmma, acrylic, plexiglas")),
    ("metal", _words("""metal, metallic, implant, hardware, prosthesis, prostheses, endoprosthesis, arthroplasty,
        screw, plate, nail, rod, pin, stent, endograft, wire, k wire, kirschner, guidewire, clip,
        coil, staple, electrode, lead, pacemaker, defibrillator, icd, needle, cannula, trocar,
        drill, cage, filling, amalgam, crown, bridge""")),
    ("contrast", _words("contrast, contrast agent, contrast medium, opacified, iodine")),
    ("soft tissue", _words("""lateral ventricle, third ventricle, fourth ventricle, brain ventricle, ventricle body,
        ventricle frontal, ventricle temporal, ventricle occipital, ventricle trigone, valve,
        cusp, pericardium, pericardial, spinal cord, spinal canal, lymphatic""")),
    ("vessel", _words("""artery, arteries, arterial, aorta, aortic, vein, venous, vena, cava, vessel, vascular,
        vasculature, carotid, jugular, brachiocephalic, subclavian, celiac trunk, coeliac trunk,
        pulmonary trunk, portal, coronary, coronaries, heart, cardiac, atrium, atria, atrial, left
        ventricle, right ventricle, ventricular outflow, auricular appendage, myocardium,
        aneurysm, blood, blood pool, graft, shunt, fistula, sinus of valsalva""")),
    ("threshold", _words("cartilage, costal cartilages, calcification, calcium, plaque, stone, calculus, calculi, "
                         "bone graft, callus")),
    ("soft tissue", _words("""disc, disk, canal, muscle, muscular, musculature, pulp, soft palate, soft tissue, nerve,
        renal pelvis, sinus, cavity, marrow edema, ligament, tendon, fascia, meniscus, labrum,
        joint capsule, synovium, bursa, quadriceps, biceps femoris, rectus femoris, tensor,
        rotator""")),
    ("bone", _words("""bone, jawbone, osseous, skeleton, skeletal, cortical bone, trabecular, cancellous,
        spongiosa, marrow, rib, costa, costae, vertebra, vertebrae, vertebral, spine, spinal,
        sacrum, sacral, coccyx, skull, cranium, calvarium, mandible, maxilla, jaw, zygoma,
        zygomatic, styloid, hard palate, hyoid, tooth, teeth, dental, molar, premolar, incisor,
        canine, enamel, dentin, femur, femora, femoral, tibia, tibial, fibula, patella, humerus,
        humeral, radius, ulna, scapula, glenoid, clavicle, clavicula, sternum, manubrium, hip,
        pelvis, pelvic, innominate, hemipelvis, ilium, iliac, ischium, pubis, pubic, acetabulum,
        acetabular, carpal, carpus, metacarpal, phalanx, phalanges, scaphoid, lunate, triquetrum,
        pisiform, trapezium, trapezoid, capitate, hamate, tarsal, tarsus, metatarsal, calcaneus,
        talus, navicular, cuboid, cuneiform, sesamoid, osteophyte""")),
    ("lung", _words("""lung, pulmonary, pneumothorax, emphysema""")),
    ("adipose", _words("fat, fatty, adipose, lipoma")),
    ("air", _words("air, gas, background")),
    ("soft tissue", _words("""spleen, kidney, renal, gallbladder, liver, hepatic, biliary, bile duct, stomach, gastric,
        pancreas, pancreatic, adrenal, gland, esophagus, oesophagus, trachea, bronchus, bronchi,
        bronchia, airway, larynx, pharynx, nasopharynx, oropharynx, hypopharynx, thyroid,
        parathyroid, thymus, bowel, intestine, duodenum, jejunum, ileum, colon, cecum, caecum,
        rectum, anus, bladder, urinary, ureter, urethra, prostate, seminal, uterus, cervix, ovary,
        ovaries, vagina, testis, testes, penis, breast, brain, cerebrum, cerebral, cerebellum,
        brainstem, cord, thalamus, insula, insular, caudate, lentiform, capsule, septum,
        hippocampus, amygdala, lobe, sulcus, ventricle, subarachnoid, csf, cyst, tumor, tumour,
        lesion, cancer, carcinoma, metastasis, metastases, nodule, lymph, node, tongue, eye,
        eyeball, lens, orbit, parotid, submandibular, palate, constrictor, effusion, ascites,
        hemorrhage, haemorrhage, hematoma, haematoma, edema, oedema, abscess, fluid, water
        equivalent, tissue, organ, mesentery, omentum, diaphragm, pleura, peritoneum, gluteus,
        autochthon, iliopsoas, psoas, sartorius, compartment, pterygoid, masseter, temporalis,
        digastric, sternocleidomastoid, trapezius, platysma, levator, scalene, sterno thyroid,
        thyrohyoid, prevertebral, rectus, oblique, deltoid, supraspinatus, infraspinatus,
        subscapularis, coracobrachial, pectoralis, serratus, teres, triceps, biceps, latissimus,
        erector, transversospinalis, quadratus, hamstring, gastrocnemius, soleus, adductor,
        gracilis""")),
)  # fmt: skip

# SNOMED CT codes of types that segmentations carry most; others are known by their English meaning.
CODES = {
    "272673000": "bone", "51282000": "bone", "71341001": "bone", "29836001": "bone", "89546000": "bone",
    "54735007": "bone", "56873002": "bone", "85050009": "bone", "79601000": "bone", "51299004": "bone",
    "12611008": "bone", "87342007": "bone", "91609006": "bone", "22457002": "bone",
    "51114001": "vessel", "29092000": "vessel", "15825003": "vessel", "64131007": "vessel", "48345005": "vessel",
    "81040000": "vessel", "80891009": "vessel",
    "39607008": "lung", "248300009": "adipose", "15158005": "air", "40388003": "metal", "309312004": "threshold",
    "71616004": "soft tissue", "10200004": "soft tissue", "64033007": "soft tissue", "78961009": "soft tissue",
    "12738006": "soft tissue", "39937001": "unsegmented",
}  # fmt: skip
