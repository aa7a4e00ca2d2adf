"""What `benchmarks.spark3d` measured as Markdown, for the terminal and the model cards."""

from __future__ import annotations

from typing import Any


def execution_table(report: dict[str, Any]) -> str:
    """Render a report of `benchmarks.spark3d`: one row per part and share of hidden cells, and one per peer."""
    lines = ["| | hidden | dense masking | this | times less (range) |", "| --- | --- | --- | --- | --- |"]
    for part in ("encoder", "step"):
        for name, found in report.get(part, {}).items():
            low, high = found["range"]
            peer = not name[0].isdigit()
            cells = [f"{part}, {name}" if peer else part, "-" if peer else f"{float(name):.0%}"]
            cells += [f"{found['reference_seconds']} s", f"{found['seconds']} s"]
            lines.append("| " + " | ".join([*cells, f"{found['times_faster']} ({low}-{high})"]) + " |")
    peaks = report.get("peak_memory_mib", {})
    for name, peak in peaks.items():
        if name != "dense":
            cells = [
                "peak memory",
                f"{float(name):.0%}",
                f"{peaks['dense']} MiB",
                f"{peak} MiB",
                f"{peaks['dense'] / peak:.2f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    widths = "" if report["width"] == 1 else f" of {report['width']} times the width"
    setting = (
        f"ResEnc-L{widths}, {report['batch_size']} patch of {report['size']}³ voxels, cells of {report['cell_size']}³"
    )
    machine = f"{report['machine']}, {report['threads']} threads" if report["device"] == "cpu" else report["machine"]
    lines += ["", f"{setting}; {machine}, PyTorch {report['torch']}, median of {report['repeats']} rounds."]
    return "\n".join(lines)
