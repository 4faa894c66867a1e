"""A user's rows in every kind of file that is read."""

import json

import pandas as pd


def write_rows(path, rows):
    """Write rows as the kind of file that the name's end says; the path again."""
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".json":
            path.write_text(json.dumps(rows))
        case ".csv":
            pd.DataFrame(rows).to_csv(path, index=False)
        case ".parquet":
            pd.DataFrame(rows).to_parquet(path)
    return path
