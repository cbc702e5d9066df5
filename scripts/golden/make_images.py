"""Makes shards/images/testdata: one small pool of images with objects, in every
form and format that is read, and what readers must make of each file.

    python scripts/golden/make_images.py shards/images/testdata

Made with pyarrow 26.0.1, numpy 2.4.6 and GNU tar's format by Python's tarfile.
The encoded images were made with Pillow 13.0.0.

truth.json has, by file: the options to read it with, and the images (floats that
are not finite as strings; boxes x1, y1, x2, y2), or parts of the error. No number
is to differ: vectors are drawn as halves, boxes as quarters of a pixel.
"""
import base64
import gzip
import io
import json
import pathlib
import sys
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
for old in out.glob("*.*"):
    old.unlink()
truth = {}

# 40 x 30 pixels each.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71////m8H////6/+b9//j/2wBDASst"
    "LTw1PHZBQXb4pYyl+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj/wAARCAAeACgDASIAAhEBAxEB/8QAFQABAQAAAAAA"
    "AAAAAAAAAAAAAAT/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFgEBAQEAAAAAAAAAAAAAAAAAAAIE/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEQMRAD8AmAQ3"
    "gAAAAAAAAAP/2Q==")
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAACgAAAAeCAIAAADRv8uKAAAALklEQVR42u3NMQ0AMAgAMJgQlOA/yJoETp7WQHOq48KLI2KxWCwWi8VisVgs3n3G9QFeThTJZAAAAABJ"
    "RU5ErkJggg==")
WEBP = base64.b64decode("UklGRkAAAABXRUJQVlA4IDQAAAAwAwCdASooAB4AP3G202G0ryqmJWgCkC4JZwDOOA8KmggAAP7eEaWD+KHmt7B1NmRNW1gA")
WEBPL = base64.b64decode("UklGRh4AAABXRUJQVlA4TBEAAAAvJ0AHAAdQjyKXp/+BiOh/AAA=")
PICTURES = [("jpg", JPEG), ("png", PNG), ("webp", WEBP), ("webp", WEBPL)]
WIDTH, HEIGHT, DIM = 40, 30, 4
CLASSES = ["car", "person", "traffic light"]

rng = np.random.default_rng(5)


def draw_vector():
    return [float(x) for x in np.float16(rng.normal(size=DIM))]


def draw_pool():
    pool = []
    for i, objects in enumerate([3, 0, 1, 2, 4, 1]):
        image = {"ID": f"img-{i}", "Width": WIDTH, "Height": HEIGHT, "Group": ["north", "", "south"][i % 3], "Vector": draw_vector(), "Objects": []}
        for k in range(objects):
            x, y = rng.integers(0, 60) / 4, rng.integers(0, 40) / 4
            w, h = rng.integers(4, 96) / 4, rng.integers(4, 72) / 4
            image["Objects"].append({
                "ID": f"o{k}", "Class": CLASSES[int(rng.integers(0, 3))], "Score": float(np.float16(rng.random())),
                "Box": [float(x), float(y), float(x + w), float(y + h)], "Area": float(rng.integers(0, 3) * 8.5),
                "Source": ["", "detector-a", "people"][int(rng.integers(0, 3))], "Ignore": bool(rng.integers(0, 2)), "Vector": draw_vector()})
        pool.append(image)
    return pool


POOL = draw_pool()


def finite(v):
    if isinstance(v, float) and (v != v or v in (float("inf"), float("-inf"))):
        return str(v)
    if isinstance(v, list):
        return [finite(x) for x in v]
    if isinstance(v, dict):
        return {k: finite(x) for k, x in v.items()}
    return v


def pool(drop=(), drop_image=(), **change):
    """The pool without some properties, which then are what is said instead."""
    images = json.loads(json.dumps(POOL))
    for image in images:
        for name in drop_image:
            del image[name]
        for i, o in enumerate(image["Objects"]):
            for name in drop:
                del o[name]
            if "ID" in drop:
                o["ID"] = str(i)
            if "Score" in drop:
                o["Score"] = 1.0
        for name, value in change.items():
            image[name] = value
    return images


def expect(name, images, side=None, **options):
    truth[name] = {"options": options, "images": finite(images)}
    if side:
        truth[name]["side"] = side


def fail(name, *parts, **options):
    truth[name] = {"options": options, "error": list(parts)}


def parquet(name, table, **kw):
    pq.write_table(table, out / name, row_group_size=kw.pop("row_group_size", 2), compression="zstd", **kw)


def objects_of(images, **names):
    """Lists of dicts with other names: names[new] = old, or a function."""
    return [[{n: (f(o) if callable(f) else o[f]) for n, f in names.items()} for o in image["Objects"]] for image in images]


def xywh(b):
    return [b[0], b[1], b[2] - b[0], b[3] - b[1]]


def write_lines(name, rows):
    data = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows).encode()
    (out / name).write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)


vector32 = pa.list_(pa.float32(), DIM)
native = pa.struct([("id", pa.string()), ("class", pa.string()), ("score", pa.float32()), ("box", pa.list_(pa.float32(), 4)),
                    ("area", pa.float32()), ("source", pa.string()), ("ignore", pa.bool_()), ("vec", vector32)])


def image_columns(vector=vector32):
    return {
        "image_id": pa.array([i["ID"] for i in POOL]), "group": pa.array([i["Group"] or None for i in POOL]),
        "width": pa.array([WIDTH] * len(POOL), pa.int32()), "height": pa.array([HEIGHT] * len(POOL), pa.int64()),
        "vec": pa.array([i["Vector"] for i in POOL], vector)}


def native_objects():
    return objects_of(POOL, id="ID", score="Score", box="Box", area=lambda o: o["Area"] or None,
                      source=lambda o: o["Source"] or None, ignore="Ignore", vec="Vector", **{"class": "Class"})


def nested():
    table = pa.table({**image_columns(), "objects": pa.array(native_objects(), pa.list_(native))})
    parquet("nested.parquet", table)
    expect("nested.parquet", pool())
    large = pa.table({"pad": pa.array(["x" * i for i in range(len(POOL))]), **image_columns(pa.large_list(pa.float64())),
                      "objects": pa.array(native_objects(), pa.large_list(native))})
    parquet("large.parquet", large, row_group_size=4, version="1.0", data_page_version="2.0", use_dictionary=False)
    expect("large.parquet", pool())
    half = pa.struct([pa.field(f.name, pa.list_(pa.float16()) if f.name == "vec" else f.type) for f in native])
    parquet("halves.parquet", pa.table({**image_columns(pa.list_(pa.float16(), DIM)), "objects": pa.array(native_objects(), pa.list_(half))}))
    expect("halves.parquet", pool())
    parquet("plain.parquet", table.replace_schema_metadata(None), store_schema=False)
    expect("plain.parquet", pool())


def pages():
    """Vectors in many small pages: with a dictionary, one that is given up, and none; of both versions."""
    pick = np.random.default_rng(6)
    table = [[], [1.5], None, [0.25, None, -0.0], [float(np.float16(x)) for x in pick.normal(size=40)]]
    images, rows = [], []
    for i in range(40):
        vectors = [table[int(pick.integers(0, 5))] for _ in range(int(pick.integers(0, 5)))]
        top = table[i % 5]
        rows.append({"image_id": str(i), "vec": top, "objects": [{"class": "a", "box": [0, 0, 1, 1], "vec": v} for v in vectors] if i % 7 else None})
        nan = lambda v: v if v is None else [float("nan") if x is None else x for x in v]
        images.append({"ID": str(i), "Vector": nan(top), "Objects": [
            {"ID": str(k), "Class": "a", "Score": 1.0, "Box": [0.0, 0.0, 1.0, 1.0], "Vector": nan(v)} for k, v in enumerate(vectors)] if i % 7 else []})
    for name, vector, kw in [("dictionary", pa.float32(), {}), ("fallback", pa.float64(), {"dictionary_pagesize_limit": 64}),
                             ("splits", pa.float32(), {"use_dictionary": ["image_id"], "column_encoding": None, "use_byte_stream_split": ["vec.list.element"]}),
                             ("version2", pa.float16(), {"data_page_version": "2.0", "use_dictionary": False})]:
        kind = pa.struct([("class", pa.string()), ("box", pa.list_(pa.float32())), ("vec", pa.list_(vector))])
        pages = pa.Table.from_pylist(rows, pa.schema([("image_id", pa.string()), ("vec", pa.list_(vector)), ("objects", pa.list_(kind))]))
        parquet(f"pages-{name}.parquet", pages, row_group_size=25, data_page_size=50, write_batch_size=4, **{k: v for k, v in kw.items() if v is not None})
        if name == "dictionary":
            expect(f"pages-{name}.parquet", images)
        else:
            truth[f"pages-{name}.parquet"] = {"same": "pages-dictionary.parquet"}


def other_names():
    kind = pa.struct([("category", pa.dictionary(pa.int8(), pa.string())), ("bbox", pa.list_(pa.float64())), ("confidence", pa.float64()),
                      ("iscrowd", pa.int8()), ("difficult", pa.int8()), ("embedding", pa.list_(pa.float64()))])
    rows = objects_of(POOL, category="Class", bbox=lambda o: xywh(o["Box"]), confidence="Score", iscrowd=lambda o: int(o["Ignore"]),
                      difficult=lambda o: 0, embedding="Vector")
    typ = kind.field(0).type
    plain = pa.struct([pa.field("category", pa.string()), *[kind.field(i) for i in range(1, 6)]])
    array = pa.array(rows, pa.list_(plain))
    values = array.values
    fields = [values.field(i) for i in range(6)]
    struct = pa.StructArray.from_arrays([fields[0].cast(pa.string()).dictionary_encode().cast(typ), *fields[1:]], fields=list(kind))
    column = pa.ListArray.from_arrays(array.offsets, struct)
    table = pa.table({"file_name": image_columns()["image_id"], "scene": image_columns()["group"], "detections": column,
                      "url": pa.array([f"https://example.org/{i}.jpg" for i in range(6)])})
    images = pool(drop=["ID", "Area", "Source"], drop_image=["Width", "Height", "Vector"])
    for i, image in enumerate(images):
        image["URI"] = f"https://example.org/{i}.jpg"
    parquet("names.parquet", table)
    expect("names.parquet", images, Box="xywh")
    with ipc.new_file(out / "names.arrow", table.schema, options=ipc.IpcWriteOptions(compression="zstd")) as w:
        w.write_table(table, max_chunksize=4)
    expect("names.arrow", images, Box="xywh")
    given = table.rename_columns(["wer", "wo", "was", "url"])
    parquet("given.parquet", given)
    expect("given.parquet", images, Box="xywh", Columns={"id": "wer", "group": "wo", "objects": "was", "class": "category"})
    fail("given.parquet#absent", 'column "kind"', "category, bbox, confidence", Columns={"id": "wer", "objects": "was", "class": "kind"})
    fail("given.parquet#absent2", 'column "scene"', "wer, wo, was, url", Columns={"group": "scene"})


def arrow_types():
    view = pa.struct([pa.field(f.name, pa.string_view() if f.type == pa.string() else f.type) for f in native])
    columns = image_columns()
    table = pa.table({**columns, "group": columns["group"].cast(pa.large_string()), "objects": pa.array(native_objects(), pa.list_view(view)),
                      "image": pa.array([p for _, p in PICTURES] + [None, b""], pa.large_binary())})
    with ipc.new_stream(out / "views.arrows", table.schema) as w:
        w.write_table(table, max_chunksize=5)
    images = pool()
    for i, image in enumerate(images):
        if i < 4:
            image["Data"] = base64.b64encode(PICTURES[i][1]).decode()
    expect("views.arrows", images, Data=True)


def hub():
    features = {"image": {"_type": "Image"}, "objects": {"feature": {
        "bbox": {"feature": {"dtype": "float32", "_type": "Value"}, "length": 4, "_type": "Sequence"},
        "categories": {"names": CLASSES, "_type": "ClassLabel"}}, "_type": "Sequence"}}
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    struct = pa.struct([("bbox", pa.list_(pa.list_(pa.float32(), 4))), ("categories", pa.list_(pa.int64())), ("area", pa.list_(pa.float32()))])
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    lists = [{"bbox": [xywh(o["Box"]) for o in i["Objects"]], "categories": [CLASSES.index(o["Class"]) for o in i["Objects"]],
              "area": [o["Area"] for o in i["Objects"]]} for i in POOL]
    pictures = [{"bytes": PICTURES[i % 4][1], "path": f"img-{i}"} for i in range(6)]
    table = pa.table({"image": pa.array(pictures, picture), "objects": pa.array(lists, struct)}).replace_schema_metadata(meta)
    images = pool(drop=["ID", "Score", "Source", "Ignore", "Vector"], drop_image=["Group", "Vector"])
    parquet("hub.parquet", table)
    expect("hub.parquet", images, Box="xywh")
    other = {"image": {"_type": "Image"}, "objects": [{"bbox": {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "List"},
             "categories": {"names": CLASSES, "_type": "ClassLabel"}}]}
    dicts = objects_of(POOL, bbox=lambda o: xywh(o["Box"]), categories=lambda o: CLASSES.index(o["Class"]), area="Area")
    typ = pa.list_(pa.struct([("bbox", pa.list_(pa.float32())), ("categories", pa.int64()), ("area", pa.float32())]))
    sized = pa.table({"image": table["image"], "width": image_columns()["width"], "height": image_columns()["height"], "objects": pa.array(dicts, typ)})
    sized = sized.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": other}})})
    parquet("hub-sized.parquet", sized)
    expect("hub-sized.parquet", images, Box="xywh")
    fail("hub.parquet#corners", "row 0", "object", "bbox", "set the box form to xywh")
    top = pa.table({"image": pa.array([p for _, p in (PICTURES * 2)[:6]], pa.binary()), "image_id": image_columns()["image_id"],
                    "bbox": pa.array([l["bbox"] for l in lists], struct.field(0).type),
                    "category": pa.array([[o["Class"] for o in i["Objects"]] for i in POOL], pa.list_(pa.string())),
                    "vec": pa.array([[o["Vector"] for o in i["Objects"]] for i in POOL], pa.list_(vector32)), "image_vec": image_columns()["vec"]})
    parquet("columns.parquet", top)
    expect("columns.parquet", pool(drop=["ID", "Score", "Source", "Ignore", "Area"], drop_image=["Group"]), Box="xywh")
    wrong = pa.table({"image_id": ["a"], "objects": pa.array([{"bbox": [[0, 0, 1, 1]], "categories": [0, 1], "area": None}], struct)})
    parquet("uneven.parquet", wrong)
    fail("uneven.parquet", "row 0", '"bbox"', "it has 1 elements, categories has 2")
    unnamed = pa.table({"image_id": ["a", "b"], "objects": pa.array([None, {"bbox": [[0, 0, 1, 1]] * 2, "categories": [2, 3], "area": None}], struct)})
    parquet("unnamed.parquet", unnamed.replace_schema_metadata(meta))
    fail("unnamed.parquet", "row 1", "object 1", "categories", "it is 3, and there are names for 0 to 2")


def flat():
    rows = []
    for i, image in enumerate(POOL):
        own = {"image_id": 100 + i, "width": WIDTH, "height": HEIGHT, "scene": image["Group"] or None, "image_vec": image["Vector"]}
        for o in image["Objects"]:
            rows.append({**own, "id": o["ID"], "label": o["Class"], "score": o["Score"], "box": o["Box"], "vec": o["Vector"]})
        if not image["Objects"]:
            rows.append(own)
    schema = pa.schema([("image_id", pa.int64()), ("width", pa.int32()), ("height", pa.int32()), ("scene", pa.string()), ("image_vec", vector32),
                        ("id", pa.string()), ("label", pa.string()), ("score", pa.float32()), ("box", pa.list_(pa.float32())), ("vec", vector32)])
    table = pa.Table.from_pylist(rows, schema)
    images, first = pool(drop=["Area", "Source", "Ignore"]), 0
    for i, image in enumerate(images):
        image["ID"], image["Row"] = str(100 + i), first
        first += max(1, len(image["Objects"]))
    parquet("flat.parquet", table, row_group_size=4)
    expect("flat.parquet", images)
    scattered = table.take(list(range(1, len(rows))) + [0])
    parquet("scattered.parquet", scattered, row_group_size=4)
    fail("scattered.parquet", f"row {len(rows) - 1}", 'image "100" began in row 0', "sort the rows by image")
    write_lines("flat.jsonl.gz", [{k: v for k, v in r.items() if v is not None} for r in rows])
    expect("flat.jsonl.gz", images)
    corners = pa.table({"file_name": [f"img-{i}" for i, image in enumerate(POOL) for _ in image["Objects"]],
                        "class_id": pa.array([CLASSES.index(o["Class"]) for i in POOL for o in i["Objects"]], pa.uint8()),
                        **{n: pa.array([o["Box"][k] for i in POOL for o in i["Objects"]], pa.float64()) for k, n in enumerate(["xmin", "ymin", "xmax", "ymax"])}})
    parquet("corners.parquet", corners, row_group_size=100)
    images, first = [], 0
    for image in pool(drop=["ID", "Score", "Area", "Source", "Ignore", "Vector"], drop_image=["Group", "Vector", "Width", "Height"]):
        if image["Objects"]:
            images.append({**image, "URI": image["ID"], "Row": first})
            first += len(image["Objects"])
    expect("corners.parquet", images, Classes=CLASSES)
    parquet("nameless.parquet", corners.drop_columns("file_name"))
    fail("nameless.parquet", "row 0", "no id of the image: name its column")


def vectors():
    def table(vec, typ, top=None):
        rows = objects_of(POOL, box="Box", vec=vec, **{"class": "Class"})
        kind = pa.struct([("class", pa.string()), ("box", pa.list_(pa.float32())), ("vec", typ)])
        return pa.table({"image_id": image_columns()["image_id"], "objects": pa.array(rows, pa.list_(kind)), **(top or {})})
    short = ["ID", "Score", "Area", "Source", "Ignore"]
    images = pool(drop=short, drop_image=["Group", "Width", "Height", "Vector"])
    parquet("blobs.parquet", table(lambda o: np.float32(o["Vector"]).tobytes(), pa.binary()))
    expect("blobs.parquet", images)
    parquet("halfblobs.parquet", table(lambda o: np.float16(o["Vector"]).tobytes(), pa.binary(2 * DIM)))
    expect("halfblobs.parquet", images, Blob="f16")
    parquet("oddblobs.parquet", table(lambda o: b"12345678901", pa.binary()))
    fail("oddblobs.parquet", "row 0", "object 0", "vec", "11 bytes")
    ragged = [None, [], [1.0], [0.5, None, float("nan"), float("inf")], [65504.0, -0.0, 6e-8, 1e-40]]
    count = iter(range(100))
    parquet("ragged.parquet", table(lambda o: ragged[next(count) % 5], pa.list_(pa.float32())))
    count = iter(range(100))
    images = pool(drop=short, drop_image=["Group", "Width", "Height", "Vector"])
    for image in images:
        for o in image["Objects"]:
            v = ragged[next(count) % 5]
            o["Vector"] = v if v is None else [float("nan") if x is None else float(np.float32(x)) for x in v]
    expect("ragged.parquet", images)
    halves = [float(np.frombuffer(np.uint16(b).tobytes(), np.float16)[0]) for b in [0, 1, 0x3FF, 0x400, 0x7BFF, 0x7C00, 0x7E00, 0x8001, 0xFBFF, 0x8000]]
    parquet("allhalves.parquet", pa.table({"image_id": ["a"], "vec": pa.array([[np.float16(h) for h in halves]], pa.list_(pa.float16()))}))
    expect("allhalves.parquet", [{"ID": "a", "Vector": halves, "Objects": []}])
    matrix = np.array([o["Vector"] for i in POOL for o in i["Objects"]][::-1])
    np.save(out / "side32.npy", matrix.astype(np.float32))
    np.save(out / "side16.npy", matrix.astype(np.float16))
    np.save(out / "fortran.npy", np.asfortranarray(matrix.astype(np.float32)))
    np.save(out / "integers.npy", matrix.astype(np.int32))
    count = iter(range(len(matrix))[::-1])
    rows = objects_of(POOL, box="Box", vec_row=lambda o: next(count), **{"class": "Class"})
    kind = pa.struct([("class", pa.string()), ("box", pa.list_(pa.float32())), ("vec_row", pa.int32())])
    parquet("side.parquet", pa.table({"image_id": image_columns()["image_id"], "objects": pa.array(rows, pa.list_(kind))}))
    images = pool(drop=short, drop_image=["Group", "Width", "Height", "Vector"])
    expect("side.parquet", images, side="side32.npy")
    expect("side.parquet#16", images, side="side16.npy")


def lines():
    own = [{"image_id": i["ID"], "width": WIDTH, "height": HEIGHT, "vec": i["Vector"], **({"group": i["Group"]} if i["Group"] else {})} for i in POOL]
    write_lines("nested.jsonl", [{**o, "objects": objs} for o, objs in zip(own, native_objects())])
    expect("nested.jsonl", pool())
    lists = [{"bbox": [o["Box"] for o in i["Objects"]], "label": [o["Class"] for o in i["Objects"]], "score": [o["Score"] for o in i["Objects"]]} for i in POOL]
    write_lines("lists.jsonl", [{**o, "objects": l} for o, l in zip(own, lists)])
    expect("lists.jsonl", pool(drop=["ID", "Area", "Source", "Ignore", "Vector"]))
    # What a transformers pipeline for detection gives.
    rows = [{"image": f"a/{i['ID']}.jpg", "image_id": i["ID"], "predictions": [
        {"label": o["Class"], "score": o["Score"], "box": dict(zip(["xmin", "ymin", "xmax", "ymax"], o["Box"]))} for o in i["Objects"]]} for i in POOL]
    write_lines("pipeline.jsonl", rows)
    images = pool(drop=["ID", "Area", "Source", "Ignore", "Vector"], drop_image=["Group", "Vector", "Width", "Height"])
    for image in images:
        image["URI"] = f"a/{image['ID']}.jpg"
    expect("pipeline.jsonl", images)
    relative = [[{"label": o["Class"], "bounding_box": [v / s for v, s in zip(xywh(o["Box"]), [32, 32, 32, 32])]} for o in i["Objects"]] for i in POOL]
    write_lines("relative.jsonl", [{"id": i["ID"], "width": 32, "height": 32, "detections": r} for i, r in zip(POOL, relative)])
    bare = ["ID", "Score", "Area", "Source", "Ignore", "Vector"]
    expect("relative.jsonl", pool(drop=bare, drop_image=["Group", "Vector"], Width=32, Height=32), Box="relative_xywh")
    centers = [[{"class": CLASSES.index(o["Class"]), "bbox": [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]]}
                for o in i["Objects"] for b in [o["Box"]]] for i in POOL]
    write_lines("centers.jsonl", [{"id": i["ID"], "objects": r} for i, r in zip(POOL, centers)])
    images = pool(drop=bare, drop_image=["Group", "Vector", "Width", "Height"])
    for image in images:
        for o in image["Objects"]:
            o["Class"] = str(CLASSES.index(o["Class"]))
    expect("centers.jsonl", images, Box="cxcywh")
    fail("centers.jsonl#relative", "row 0", "object 0", "bbox", "width and height are not known", Box="relative_cxcywh")
    write_lines("masks.jsonl", [{"image_id": "m", "objects": [
        {"class": "a", "box": [0, 0, 4, 4], "segmentation": [[0, 0, 4, 0, 4, 3], [1, 1, 2, 1, 2, 2, 1, 2]]},
        {"class": "a", "box": [0, 0, 4, 4], "segmentation": {"size": [3, 4], "counts": [2, 3, 5, 2]}, "area": 7},
        {"class": "a", "box": [0, 0, 4, 4], "segmentation": {"size": [3, 40], "counts": "23<X1V1oN"}},  # packed by pycocotools 2.0.11
        {"class": "a", "box": [0, 0, 4, 4], "segmentation": {"size": [400, 1000], "counts": "05PeQ32PeQ3]dQ3"}},
        {"class": "a", "box": [0, 0, 4, 4], "segmentation": []}, {"class": "a", "box": [0, 0, 4, 4], "mask": None}], "unlabelled": ["b", "c"]}])
    return own


def samples():
    def write(name, members, mode="w"):
        with tarfile.open(out / name, mode, format=tarfile.GNU_FORMAT) as tar:
            for path, data in members:
                info = tarfile.TarInfo(path)
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))

    def npy(array):
        b = io.BytesIO()
        np.save(b, array)
        return b.getvalue()
    members, coco, detected = [], [], []
    for k, (i, objs) in enumerate(zip(POOL, native_objects())):
        ext, data = PICTURES[k % 4]
        for o in objs:
            del o["vec"]
        body = {"group": i["Group"], "objects": objs, "id": "not the key"}
        members += [(f"a/{i['ID']}.{ext}", data), (f"a/{i['ID']}.json", json.dumps(body).encode()),
                    (f"a/{i['ID']}.npy", npy(np.array([o["Vector"] for o in i["Objects"]], np.float16).reshape(-1, DIM))),
                    (f"a/{i['ID']}.image.npy", npy(np.array(i["Vector"], np.float64)))]
        annotations = [{"id": 7 + n, "image_id": k, "category_id": 10 * CLASSES.index(o["Class"]), "bbox": xywh(o["Box"]), "iscrowd": int(o["Ignore"])}
                       for n, o in enumerate(i["Objects"])]
        coco += [(f"{i['ID']}.json", json.dumps({"image": {"id": k, "width": 64, "height": 48, "file_name": "x.jpg"}, "annotations": annotations,
                  "categories": [{"id": 10 * n, "name": c} for n, c in enumerate(CLASSES)]}).encode()), (f"{i['ID']}.{ext}", data)]
        detected += [(f"{i['ID']}.{ext}", data), (f"{i['ID']}.json", json.dumps([{"category_id": a["category_id"], "bbox": a["bbox"], "score": o["Score"]}
                      for a, o in zip(annotations, i["Objects"])]).encode())]
    write("samples.tar", members)
    images = pool()
    for k, image in enumerate(images):
        image["ID"] = "a/" + image["ID"]
    expect("samples.tar", images)
    write("samples.tar.gz", members, "w:gz")
    data = bytearray((out / "samples.tar.gz").read_bytes())
    data[4:8] = b"\0\0\0\0"  # no time
    (out / "samples.tar.gz").write_bytes(bytes(data))
    for k, image in enumerate(images):
        image["Data"] = base64.b64encode(PICTURES[k % 4][1]).decode()
    expect("samples.tar.gz", images, Data=True)
    write("coco.tar", coco)
    images = pool(drop=["Score", "Area", "Source", "Vector"], drop_image=["Group", "Vector"], Width=64, Height=48)
    for image in images:
        for n, o in enumerate(image["Objects"]):
            o["ID"], o["Score"] = str(7 + n), 1.0
    expect("coco.tar", images)
    write("detected.tar", detected)
    images = pool(drop=["ID", "Area", "Source", "Ignore", "Vector"], drop_image=["Group", "Vector"])
    for image in images:
        for o in image["Objects"]:
            o["Class"] = str(10 * CLASSES.index(o["Class"]))
    expect("detected.tar", images)
    write("twopictures.tar", [("a.jpg", JPEG), ("a.png", PNG)])
    fail("twopictures.tar", "row 0", 'member "a.png"', "say which extension")
    expect("twopictures.tar#png", [{"ID": "a", "Width": WIDTH, "Height": HEIGHT, "Objects": []}], Columns={"image": "png"})
    write("uneven.tar", [("a.json", b'{"objects":[{"class":"a","box":[0,0,1,1]}]}'), ("a.npy", npy(np.zeros((2, 3), np.float32)))])
    fail("uneven.tar", "row 0", "2 vectors", "1 objects")
    write("badjson.tar", [("a.json", b'{"objects":[}'), ])
    fail("badjson.tar", "row 0", 'member "a.json"', "JSON")
    write("badnpy.tar", [("a.json", b"[]"), ("a.npy", npy(np.zeros((2, 3), np.int8)))])
    fail("badnpy.tar", "row 0", 'member "a.npy"', "|i1")


def traps():
    def one(name, objects, *parts, image=None, **options):
        write_lines(name, [{"image_id": "ok", "objects": []}, {"image_id": "i", "objects": objects, **(image or {})}])
        fail(name, "row 1", *parts, **options)
    box = [0, 0, 2, 2]
    one("nullclass.jsonl", [{"class": "a", "box": box}, {"class": None, "box": box}], "object 1", "column class", "null")
    one("noclass.jsonl", [{"box": box}], "object 0", '"class"')
    one("emptyclass.jsonl", [{"class": "", "box": box}], "object 0", "class", "empty")
    one("boolclass.jsonl", [{"class": True, "box": box}], "object 0", "class", "true or false")
    one("nobox.jsonl", [{"class": "a"}], "object 0", '"box"')
    one("shortbox.jsonl", [{"class": "a", "box": [1, 2, 3]}], "object 0", "column box", "3 numbers, want 4")
    one("textbox.jsonl", [{"class": "a", "box": ["1", 2, 3, 4]}], "object 0", "column box", "number 0 of it is a string")
    one("insideout.jsonl", [{"class": "a", "box": [10, 10, 5, 5]}], "object 0", "column box", "set the box form to xywh, or to xyxy")
    one("score.jsonl", [{"class": "a", "box": box, "score": "high"}], "object 0", "column score", "a string")
    one("ids.jsonl", [{"class": "a", "box": box, "id": 7}, {"class": "a", "box": box, "id": "7"}], "objects 0 and 1", '"7"')
    one("nullobject.jsonl", [{"class": "a", "box": box}, None], "object 1", "null")
    one("notobjects.jsonl", "none", "column objects", "a string")
    one("oddpolygon.jsonl", [{"class": "a", "box": box, "segmentation": [[0, 0, 1, 1, 2]]}], "object 0", "segmentation", "5 numbers")
    one("runs.jsonl", [{"class": "a", "box": box, "segmentation": {"size": [3, 4], "counts": [2, 3]}}], "object 0", "5 pixels in all, for 3 x 4")
    one("width.jsonl", [], "column width", "-4", image={"width": -4, "height": 3})
    # What is wrong with single objects and is counted later.
    nan = float("nan")
    table = pa.table({"image_id": ["i"], "objects": pa.array([[
        {"class": "a", "box": [10, 10, 5, 5], "score": nan}, {"class": "a", "box": [nan, 0, 1, 1], "score": None}, {"class": "a", "box": None, "score": 0.5},
        {"class": "a", "box": [-5, -5, 99, 99], "score": 2}, {"class": "a", "box": [3, 3, 3, 3], "score": 0}]],
        pa.list_(pa.struct([("class", pa.string()), ("box", pa.list_(pa.float32())), ("score", pa.float32())])))})
    parquet("counted.parquet", table)
    images = [{"ID": "i", "Objects": [{"ID": str(k), "Class": "a", "Box": b, "Score": s} for k, (b, s) in enumerate([
        ([10.0, 10.0, 5.0, 5.0], nan), ([nan, 0.0, 1.0, 1.0], 1.0), ([nan] * 4, 0.5), ([-5.0, -5.0, 99.0, 99.0], 2.0), ([3.0] * 4, 0.0)])]}]
    expect("counted.parquet", images, Box="xyxy")
    fail("counted.parquet#unsaid", "row 0", "object 0", "[10 10 5 5]", "set the box form")
    # Images whose size only the header tells.
    gif = b"GIF87a(\x00\x1e\x00\x80\x01\x00\xc8\x1e<\x00\x00\x00,\x00\x00\x00\x00(\x00\x1e\x00\x00\x02\x02D\x01\x00;"
    parquet("pictures.parquet", pa.table({"image": pa.array([JPEG, PNG, WEBP, WEBPL, None], pa.binary())}))
    expect("pictures.parquet", [{"ID": f"pictures.parquet/{i}", "Width": w, "Height": h, "Objects": []} for i, (w, h) in enumerate([(40, 30)] * 4 + [(0, 0)])])
    parquet("broken.parquet", pa.table({"image": pa.array([JPEG, JPEG[:20], gif, b""], pa.binary())}))
    fail("broken.parquet", "row 1", 'image "broken.parquet/1"', "20 bytes")
    parquet("path.parquet", pa.table({"image": pa.array([{"bytes": None, "path": "x/1.jpg"}], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))}))
    expect("path.parquet", [{"ID": "x/1.jpg", "URI": "x/1.jpg", "Objects": []}])
    parquet("nothing.parquet", pa.table({"a": [1], "b": [2]}))
    fail("nothing.parquet", "none of the columns has a usual name; they are a, b")
    write_lines("absent.jsonl", [{"image_id": "a", "objects": []}])
    fail("absent.jsonl", 'column "scenery"', Columns={"group": "scenery"})
    write_lines("paths.jsonl", [{"meta": {"name": "a", "where": {"scene": 4}}, "x": {"boxes": [{"class": "a", "bbox": box}, {"class": "b", "bbox": box}]}}])
    expect("paths.jsonl", [{"ID": "a", "Group": "4", "Objects": [{"ID": str(k), "Class": c, "Score": 1.0, "Box": [0.0, 0.0, 2.0, 2.0]} for k, c in enumerate("ab")]}],
           Columns={"id": "meta.name", "group": "meta.where.scene", "objects": "x.boxes"})
    expect("nested.parquet#without", pool(drop=["ID", "Vector", "Source", "Class"], drop_image=["Vector"]),
           Columns={"object_id": "-", "object_vector": "-", "vector": "-", "source": "-", "class": "-"})
    for image in truth["nested.parquet#without"]["images"]:
        for o in image["Objects"]:
            o["Class"] = "object"


for make in [nested, pages, other_names, arrow_types, hub, flat, vectors, lines, samples, traps]:
    make()
text = json.dumps(truth, separators=(",", ":"), sort_keys=True)
(out / "truth.json").write_text(text.replace('},"', '},\n"') + "\n")
print(f"{len(truth)} readings, {sum(f.stat().st_size for f in out.iterdir())} bytes")
