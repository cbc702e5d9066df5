"""Compares an Arrow IPC file that curate wrote with the rows of its input.

    python scripts/golden/compare_arrow.py IN OUT KEEPMASK [SCORE]
    python scripts/golden/compare_arrow.py --list FILE

Arguments as for compare_rows.py; OUT is Arrow IPC (.arrow file, .arrows
stream). Equal means: the schema that pyarrow reads from IN, with all metadata,
and the same values, NaN bits and nulls at every level included. All arrays of
OUT must pass pyarrow's full validation. Prints what differs and a count; exits
1 if anything differs. Needs pyarrow.
"""
import pathlib
import sys

import pyarrow as pa

from compare_rows import main, read, same


def plain(t):
    """whether compare_rows.same has the kernels for a type and all below it"""
    odd = pa.types.is_union(t) or pa.types.is_run_end_encoded(t) or pa.types.is_string_view(t) or pa.types.is_binary_view(t) \
        or pa.types.is_list_view(t) or pa.types.is_large_list_view(t) or isinstance(t, pa.BaseExtensionType)
    if pa.types.is_dictionary(t):
        return plain(t.value_type)
    return not odd and all(plain(t.field(i).type) for i in range(t.num_fields))


def compare(source, target, mask, score=""):
    source, target = pathlib.Path(source), pathlib.Path(target)
    keep = [c == "1" for c in pathlib.Path(mask).read_text().strip()]
    a, b = read(source), read(target)
    if len(a) != len(keep):
        yield f"mask of {len(keep)} rows for {len(a)}"
        return
    a = pa.concat_tables([a.slice(i, 1) for i, k in enumerate(keep) if k])
    try:
        a.validate(full=True)
    except pa.ArrowInvalid:
        pass  # nor need the copy be better
    else:
        b.validate(full=True)
    if score:
        if b.schema.names[-1] != score or b.schema.field(score).type != pa.float32() or not b.schema.field(score).nullable:
            yield f"last column is {b.schema.field(-1)}, want {score} float"
        if b[score].to_pylist() != [i + 0.5 for i, k in enumerate(keep) if k]:
            yield "scores differ"
        b = b.drop_columns([score])
    want = pa.ipc.read_schema(a.schema.serialize())  # pyarrow's IPC reader gives maps its own names
    if not want.equals(b.schema, check_metadata=True):
        yield f"schema:\n{a.schema.to_string()}\n---\n{b.schema.to_string()}"
        return
    for name, x, y in zip(a.schema.names, a.columns, b.columns):
        try:
            found = list(same(x, y, name)) if plain(x.type) else None
        except pa.ArrowInvalid:  # it cannot put the dictionaries of all batches together
            found = None
        if found is not None:
            yield from found
        elif [repr(v) for v in x.to_pylist()] != [repr(v) for v in y.to_pylist()]:
            yield f"{name}: values differ"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], compare))
