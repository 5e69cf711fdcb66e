"""A user's program: every client, results, errors, policies, packing, receipts. Only checked."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import assert_type

import numpy as np

from sealflow.owner import (
    AsyncClient,
    AuditedLog,
    BrokerAddress,
    Client,
    ConfigError,
    DataType,
    DeadlineError,
    DirectoryModel,
    EntryKind,
    EvidenceError,
    Image,
    InferResult,
    InputQueue,
    Label,
    Mismatch,
    ModelRef,
    Outcome,
    OutOfDateWaiver,
    OutputQueue,
    OwnerKey,
    Policy,
    PolicyError,
    QueueClient,
    QueueFullError,
    ReceiptProof,
    RefusalCode,
    RefusedError,
    Requirements,
    Revoked,
    RevokedKind,
    Role,
    SealflowError,
    SimulationPolicy,
    Tee,
    Tensor,
    Tensors,
    TrustDomain,
    TrustPolicy,
    TrustReport,
    UnavailableError,
    VerifiedReceipt,
    audit_log,
    create_owner_key,
    describe_policy,
    load_owner_key,
    load_policy,
    pack_folder,
    verify_receipt,
)


def classify(url: str, photos: list[Path]) -> list[str]:
    """Classify photos, one at a time and many at once."""
    labels: list[str] = []
    with Client(url, policy=Path("client.toml"), ca="ca.pem", pin=Path("client.pin")) as client:
        report = client.verify(timeout_s=5.0)
        assert_type(report, TrustReport)
        model = find_image_model(report)
        result = client.infer(model, image=photos[0], top_k=3)
        assert_type(result, InferResult)
        assert_type(result.top, list[Label])
        assert_type(result.model, ModelRef)
        labels += [label.label for label in result.top]
        batch = client.infer(model, image=[photos[0].read_bytes(), "cat.jpg"])
        labels += [row[0].label for row in batch.top_rows]
        for outcome in client.infer_many(model, photos, concurrency=4):
            assert_type(outcome, Outcome)
            labels.append(outcome.result.top[0].label)
    return labels


def find_image_model(report: TrustReport) -> str:
    """Find a model that takes images."""
    models: list[DirectoryModel] = [each for each in report.models if each.image is not None]
    return f"{models[0].name}:{models[0].version}"


def compute(client: Client) -> float:
    """Send arrays, lists and tensors."""
    rows: Tensors = {"x": np.zeros((1, 4), np.float32)}
    total = float(client.infer("tiny", tensors=rows).outputs["probabilities"].sum())
    total += float(client.infer("tiny", tensors={"x": [[1.0, 2.0, 3.0, 4.0]]}).outputs["y"][0, 0])
    tensor = Tensor(name="x", datatype=DataType.FP32, shape=(1, 4), data=bytes(16))
    assert_type(client.infer("tiny", tensors={"x": tensor}).tensors["y"].shape, tuple[int, ...])
    mixed: list[Tensors] = [{"x": tensor}, rows]
    return total + len(list(client.infer_many("tiny", mixed)))


async def classify_later(url: str, photos: list[Image]) -> int:
    """Do the same with an event loop."""
    async with AsyncClient(url, policy=load_policy("client.toml")) as client:
        first, second = await asyncio.gather(
            client.infer("efficientnet-lite0", image=photos[0]),
            client.infer("tiny", tensors={"x": [[1.0, 2.0, 3.0, 4.0]]}, receipt=True),
        )
        assert_type(first, InferResult)
        assert_type(second.receipt, ReceiptProof | None)
        count = 0
        async for outcome in client.infer_many("efficientnet-lite0", photos):
            assert_type(outcome.value, InferResult | SealflowError)
            count += outcome.index
        records = await client.fetch_log()
        return count + len(records)


def serve_queue(photos: list[Path]) -> None:
    """Put requests straight onto the queue and take the results out."""
    broker = BrokerAddress(url="valkeys://owner@queue.example", password_file="password")  # noqa: S106
    with QueueClient(broker, policy="client.toml", capacity=100) as queue:
        requests, answers = InputQueue(queue, "efficientnet-lite0"), OutputQueue(queue)
        for photo in photos:
            requests.enqueue(photo.name, image=photo, timeout_s=10.0)
        InputQueue(queue, "tiny").enqueue("numbers", x=[[1.0, 2.0, 3.0, 4.0]])
        queue.enqueue_many("tiny", {"more": {"x": [[1.0, 2.0, 3.0, 4.0]]}})
        assert_type(answers.query("numbers", timeout_s=1.0), InferResult | None)
        while len(queue):
            for name, answer in answers.dequeue(timeout_s=1.0).items():
                if isinstance(answer, SealflowError):
                    print(name, answer.code, answer.hint)
                else:
                    print(name, answer.top[0].score)


def handle(client: Client, photo: Image) -> str | None:
    """Handle each kind of error."""
    try:
        return client.infer("efficientnet-lite0", image=photo).top[0].label
    except PolicyError as error:
        assert_type(error.mismatches, tuple[Mismatch, ...])
        print([(each.code, each.expected, each.got) for each in error.mismatches])
    except EvidenceError as error:
        print(error.code, error.detail)
    except RefusedError as error:
        assert_type(error.code, RefusalCode)
        print(error.code.meaning)
    except (DeadlineError, QueueFullError) as error:
        print(error.retry_after_s)
    except UnavailableError as error:
        print(error.retry_after_s)
    except ConfigError as error:
        print(error.to_json())
    return None


def describe(path: Path) -> TrustPolicy:
    """Read a policy, and write one by hand."""
    policy = load_policy(path)
    if isinstance(policy, SimulationPolicy):
        return policy
    assert_type(policy, Policy)
    workers = Requirements(
        measurements=frozenset({"ab" * 32}),
        insecure_out_of_date=OutOfDateWaiver(until=date(2027, 1, 31), reason="late microcode"),
    )
    print([f"{line.about}: {line.text}" for line in describe_policy(policy, workers)])
    return Policy(
        role=Role.KEY_BROKER,
        tee=Tee.SGX,
        deployment="clinic",
        manifest_digest="cd" * 32,
        requirements=workers,
        models={"tiny": frozenset({"ef" * 32})},
    )


def publish(client: Client, folder: Path) -> None:
    """Pack and publish a model, then revoke it."""
    key: OwnerKey = create_owner_key("owner.key", TrustDomain.HARDWARE)
    package = pack_folder(folder, key, progress=lambda done, whole: print(done / whole))
    version = client.publish(package, load_owner_key(Path("owner.key")))
    assert_type(version, int)
    digest = next(model.digest for model in client.verify().models if model.owner == key.signer)
    client.revoke(Revoked(kind=RevokedKind.MODEL, id=digest), key)


def audit(client: Client, proof: ReceiptProof) -> VerifiedReceipt:
    """Check a log and a receipt."""
    log = audit_log(client.fetch_log(), load_policy("client.toml"))
    assert_type(log, AuditedLog)
    log.require_pinned("client.pin")
    print([entry.body["instance"] for entry in log.entries_of_kind(EntryKind.GRANT)])
    found = verify_receipt(ReceiptProof.from_bytes(proof.to_bytes()), log)
    print(found.receipt.model, found.receipt.at_ms, found.revoked)
    return found
