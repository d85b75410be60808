"""Writes pandas.parquet, as pandas writes by default; made with pandas 3.1.1 and pyarrow 26.0.1."""

import pandas

pandas.DataFrame(
    {
        "length": [5.1, 4.9, 7.0],
        "petals": pandas.array([5, 6, 255], dtype="uint8"),
        "kind": pandas.Categorical(["setosa", "setosa", "versicolor"]),
    }
).to_parquet("pandas.parquet")
