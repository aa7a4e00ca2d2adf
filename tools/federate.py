"""A federated training as a job of NVIDIA FLARE: `python -m tools.federate spark3d_pretrain --sites ... --rounds 20`.

Each site trains the bundle with MONAI's client `MonaiAlgo` on its own data; the server averages the network's weights,
the only thing that is sent. See docs/federation.md.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.utils import set_determinism

from scripts.errors import InputError
from scripts.files import save_json, save_tensors

from .cli import cli
from .overrides import effective_config
from .project import ROOT
from .release import content

NVFLARE = "nvflare.app_common"
START = "initial.pt"  # in the server's folder for a job's own files, where nvflare looks for it
SITE = r"(?!server$)[\w-]+"
BUNDLE = "custom"  # nvflare's name of that folder, which it puts on the path: a site's holds the bundle itself


def main(
    bundle: str, sites: dict[str, str], rounds: int, output_dir: str, epochs: int = 1, preset: str = "", **knobs: Any
) -> None:
    """Write the job's folder, with the bundle for every site and the initial weights for the server.

    Args:
        bundle: folder of the bundle below `bundles`.
        sites: each site's `dataset_dir` by its name, such as "{'north': '/data/ct', 'south': '/scans'}".
        rounds: how often the sites train and the server averages.
        output_dir: the job's folder, to be made.
        epochs: of each round.
        preset: overlays of train.json, several joined by "+".
        knobs: overrides for all sites, such as `--batch_size 4` or `--pretrained model.pt`, which the server starts
            from; sites need no copy of it.

    Raises:
        InputError: if there is no such bundle, preset or knob, a site has no proper name, or the folder is there.
    """
    root, job = ROOT / "bundles" / bundle, Path(output_dir)
    overlays = [name for name in preset.split("+") if name]
    parser = ConfigParser(effective_config(bundle, overlays, knobs))
    if (
        not isinstance(sites, dict)
        or not sites
        or not all(isinstance(name, str) and re.fullmatch(SITE, name) for name in sites)
    ):
        raise InputError(
            f"sites is {sites!r}: give the data by site, such as \"{{'north': '/data', 'south': '/scans'}}\""
        )
    if rounds < 1 or epochs < 1:
        raise InputError(f"rounds {rounds}, epochs {epochs}: give 1 at least")
    if job.exists():
        raise InputError(f"{job} exists: name another --output_dir, or remove it")
    parser.update({"bundle_root": str(root), "rounds": rounds, "train#trainer#max_epochs": epochs})
    save_tensors(initial_model(parser), job / "app_server" / BUNDLE / START)
    save_json(server(parser, rounds, len(sites)), job / "app_server" / "config" / "config_fed_server.json")
    files = [f"configs/{name}.json" for name in ("train", *overlays)]
    for site, data in sites.items():
        copy_bundle(root, job / f"app_{site}" / BUNDLE)
        own = {**knobs, "dataset_dir": os.path.abspath(data), "rounds": rounds}
        save_json(client(parser, files, epochs, own), job / f"app_{site}" / "config" / "config_fed_client.json")
    deployed = {f"app_{part}": [part] for part in ("server", *sites)}
    meta = {"name": job.name, "min_clients": len(sites), "resource_spec": {}, "deploy_map": deployed}
    save_json(meta, job / "meta.json")
    print(f"{job}: {rounds} rounds of {epochs} epochs for {', '.join(sites)}; simulate it by")
    print(f"nvflare simulator {job} --workspace {job}_run --clients {','.join(sites)} --threads {len(sites)}")


def copy_bundle(root: Path, target: Path) -> None:
    """Copy what a release holds of a bundle, without weights, which come from the server.

    Args:
        root: the bundle's folder.
        target: folder to make.
    """
    for path in content(root):
        if path.parts[0] != "models":
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, target / path)


def initial_model(parser: ConfigParser) -> dict[str, Any]:
    """Build what the server starts from: a checkpoint as the bundle's training writes it.

    Args:
        parser: the bundle's config with all overrides.

    Returns:
        Weights, pretrained ones where they are given, and the plan, which the server keeps beside them.
    """
    set_determinism(seed=parser["seed"])
    network = parser.get_parsed_content("initial_network")
    saver = next(n for n, handler in enumerate(parser["train#handlers"]) if "plan" in handler)
    plan = parser.get_parsed_content(f"train#handlers#{saver}#plan") | parser.get_parsed_content("seen_before")
    return {"model": network.cpu().state_dict(), "plan": plan}


def server(parser: ConfigParser, rounds: int, num_sites: int) -> dict[str, Any]:
    """Return nvflare's config of the server: plain averages of all sites, the last and the best of them kept.

    Args:
        parser: the bundle's config.
        rounds: of the training.
        num_sites: how many must answer.
    """
    falling = parser.get_parsed_content("validate#evaluator#metric_cmp_fn")(0, 1)
    return {
        "format_version": 2,
        "workflows": [
            component(
                "rounds", f"{NVFLARE}.workflows.scatter_and_gather.ScatterAndGather", min_clients=num_sites,
                num_rounds=rounds, wait_time_after_min_received=0, ignore_result_error=False, persistor_id="persistor",
                shareable_generator_id="generator", aggregator_id="average",
            )
        ],
        "components": [
            component(
                "persistor", "nvflare.app_opt.pt.file_model_persistor.PTFileModelPersistor",
                source_ckpt_file_full_name=START, load_weights_only=True,
            ),
            component(
                "generator", f"{NVFLARE}.shareablegenerators.full_model_shareable_generator.FullModelShareableGenerator"
            ),
            component(
                "average",
                f"{NVFLARE}.aggregators.intime_accumulate_model_aggregator.InTimeAccumulateWeightedAggregator",
                expected_data_kind="WEIGHTS",
            ),
            component(
                "selector", f"{NVFLARE}.widgets.intime_model_selector.IntimeModelSelector", negate_key_metric=falling
            ),
        ],
    }  # fmt: skip


def client(parser: ConfigParser, files: list[str], epochs: int, knobs: dict[str, Any]) -> dict[str, Any]:
    """Return nvflare's config of a site: train.json trains, and its validation scores the weights that came in.

    Args:
        parser: the bundle's config.
        files: configs, relative to the bundle.
        epochs: of a round.
        knobs: the site's overrides.
    """
    # weights come from the server, so what they were pretrained from is not read again
    knobs = {**knobs, "initial_network": parser["initial_network"]["network"]}
    knobs["seen_before"] = parser.get_parsed_content("seen_before")
    if knobs.get("pretrained"):  # that there are any decides on the schedule
        knobs["pretrained"] = Path(knobs["pretrained"]).name
    algorithm = component(
        "client", "monai.fl.client.MonaiAlgo", bundle_root=BUNDLE, local_epochs=epochs, send_weight_diff=False,
        config_train_filename=files, train_kwargs=knobs,
        config_evaluate_filename=files, eval_kwargs={**knobs, "validate#handlers": []},
    )  # fmt: skip
    executor = component(
        "executor", "monai_nvflare.client_algo_executor.ClientAlgoExecutor", client_algo_id="client",
        key_metric=next(iter(parser["validate#key_metric"])),
    )  # fmt: skip
    return {
        "format_version": 2,
        "executors": [{"tasks": ["train"], "executor": executor}],
        "components": [algorithm],
    }


def component(name: str, path: str, **arguments: Any) -> dict[str, Any]:
    """Return one part of an nvflare config."""
    return {"id": name, "path": path, "args": arguments}


if __name__ == "__main__":
    cli(main)
