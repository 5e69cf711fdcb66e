"""Owner: clients for owners of data and models. Libraries are imported when they are first used.

Its words: client, model, trust, audit, as its rooms. May import `streams`, `files`, `clock`,
`backoff` and the core.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from sealflow.extras import install_advice

if TYPE_CHECKING:
    from sealflow.attest.evidence import Role as Role
    from sealflow.attest.evidence import Tee as Tee
    from sealflow.attest.policy import Policy as Policy
    from sealflow.attest.policy import SimulationPolicy as SimulationPolicy
    from sealflow.attest.reports import PlatformFlag as PlatformFlag
    from sealflow.attest.reports import TcbStatus as TcbStatus
    from sealflow.attest.requirements import OutOfDateWaiver as OutOfDateWaiver
    from sealflow.attest.requirements import Requirements as Requirements
    from sealflow.attest.suites import SuiteName as SuiteName
    from sealflow.attest.verifiers import TrustedVerifier as TrustedVerifier
    from sealflow.attest.verifiers import TrustedWitness as TrustedWitness
    from sealflow.attest.verifiers import WitnessRequirements as WitnessRequirements
    from sealflow.attest.vm_requirements import SnpRequirements as SnpRequirements
    from sealflow.attest.vm_requirements import TdxRequirements as TdxRequirements
    from sealflow.documents.directory import DirectoryModel as DirectoryModel
    from sealflow.documents.log import EntryKind as EntryKind
    from sealflow.documents.log import LogEntry as LogEntry
    from sealflow.documents.receipt import Receipt as Receipt
    from sealflow.documents.receipt import SignedReceipt as SignedReceipt
    from sealflow.documents.revocation import Revoked as Revoked
    from sealflow.documents.revocation import RevokedKind as RevokedKind
    from sealflow.errors import BundleError as BundleError
    from sealflow.errors import ConfigError as ConfigError
    from sealflow.errors import DeadlineError as DeadlineError
    from sealflow.errors import EnvelopeTooLargeError as EnvelopeTooLargeError
    from sealflow.errors import EvidenceError as EvidenceError
    from sealflow.errors import InvalidInputError as InvalidInputError
    from sealflow.errors import MalformedError as MalformedError
    from sealflow.errors import Mismatch as Mismatch
    from sealflow.errors import ModelError as ModelError
    from sealflow.errors import NewerFormatError as NewerFormatError
    from sealflow.errors import OpenError as OpenError
    from sealflow.errors import PolicyError as PolicyError
    from sealflow.errors import QueueFullError as QueueFullError
    from sealflow.errors import QuotaExceededError as QuotaExceededError
    from sealflow.errors import RefusalCode as RefusalCode
    from sealflow.errors import RefusedError as RefusedError
    from sealflow.errors import SealflowError as SealflowError
    from sealflow.errors import TenantRefusedError as TenantRefusedError
    from sealflow.errors import UnavailableError as UnavailableError
    from sealflow.errors import VerificationError as VerificationError
    from sealflow.errors import WorkerGoneError as WorkerGoneError
    from sealflow.openinfer.tensor import DataType as DataType
    from sealflow.openinfer.tensor import Tensor as Tensor
    from sealflow.openinfer.tensor import TensorSpec as TensorSpec
    from sealflow.owner.audit.log_audit import AuditedLog as AuditedLog
    from sealflow.owner.audit.log_audit import audit_log as audit_log
    from sealflow.owner.audit.receipt_proof import ReceiptProof as ReceiptProof
    from sealflow.owner.audit.receipt_proof import VerifiedReceipt as VerifiedReceipt
    from sealflow.owner.audit.receipt_proof import verify_receipt as verify_receipt
    from sealflow.owner.client.async_client import AsyncClient as AsyncClient
    from sealflow.owner.client.client import Client as Client
    from sealflow.owner.client.request import Image as Image
    from sealflow.owner.client.request import Tensors as Tensors
    from sealflow.owner.client.result import InferResult as InferResult
    from sealflow.owner.client.result import Label as Label
    from sealflow.owner.client.result import Outcome as Outcome
    from sealflow.owner.models.owner_key import OwnerKey as OwnerKey
    from sealflow.owner.models.owner_key import create_owner_key as create_owner_key
    from sealflow.owner.models.owner_key import load_owner_key as load_owner_key
    from sealflow.owner.models.packing import pack_folder as pack_folder
    from sealflow.owner.queue.client import QueueClient as QueueClient
    from sealflow.owner.queue.queues import InputQueue as InputQueue
    from sealflow.owner.queue.queues import OutputQueue as OutputQueue
    from sealflow.owner.trust.policy_file import TrustPolicy as TrustPolicy
    from sealflow.owner.trust.policy_file import load_policy as load_policy
    from sealflow.owner.trust.policy_text import PolicyLine as PolicyLine
    from sealflow.owner.trust.policy_text import describe_policy as describe_policy
    from sealflow.owner.trust.report import TrustReport as TrustReport
    from sealflow.owner.trust.trust_text import ProvenFact as ProvenFact
    from sealflow.owner.trust.trust_text import Visibility as Visibility
    from sealflow.streams.address import BrokerAddress as BrokerAddress
    from sealflow.wire.domain import TrustDomain as TrustDomain
    from sealflow.wire.ids import ModelRef as ModelRef

__all__ = [
    "AsyncClient",
    "AuditedLog",
    "BrokerAddress",
    "BundleError",
    "Client",
    "ConfigError",
    "DataType",
    "DeadlineError",
    "DirectoryModel",
    "EntryKind",
    "EnvelopeTooLargeError",
    "EvidenceError",
    "Image",
    "InferResult",
    "InputQueue",
    "InvalidInputError",
    "Label",
    "LogEntry",
    "MalformedError",
    "Mismatch",
    "ModelError",
    "ModelRef",
    "NewerFormatError",
    "OpenError",
    "OutOfDateWaiver",
    "Outcome",
    "OutputQueue",
    "OwnerKey",
    "PlatformFlag",
    "Policy",
    "PolicyError",
    "PolicyLine",
    "ProvenFact",
    "QueueClient",
    "QueueFullError",
    "QuotaExceededError",
    "Receipt",
    "ReceiptProof",
    "RefusalCode",
    "RefusedError",
    "Requirements",
    "Revoked",
    "RevokedKind",
    "Role",
    "SealflowError",
    "SignedReceipt",
    "SimulationPolicy",
    "SnpRequirements",
    "SuiteName",
    "TcbStatus",
    "TdxRequirements",
    "Tee",
    "TenantRefusedError",
    "Tensor",
    "TensorSpec",
    "Tensors",
    "TrustDomain",
    "TrustPolicy",
    "TrustReport",
    "TrustedVerifier",
    "TrustedWitness",
    "UnavailableError",
    "VerificationError",
    "VerifiedReceipt",
    "Visibility",
    "WitnessRequirements",
    "WorkerGoneError",
    "audit_log",
    "create_owner_key",
    "describe_policy",
    "load_owner_key",
    "load_policy",
    "pack_folder",
    "verify_receipt",
]

_MODULES: Final = {
    "AsyncClient": "sealflow.owner.client.async_client",
    "AuditedLog": "sealflow.owner.audit.log_audit",
    "BrokerAddress": "sealflow.streams.address",
    "BundleError": "sealflow.errors",
    "Client": "sealflow.owner.client.client",
    "ConfigError": "sealflow.errors",
    "DataType": "sealflow.openinfer.tensor",
    "DeadlineError": "sealflow.errors",
    "DirectoryModel": "sealflow.documents.directory",
    "EntryKind": "sealflow.documents.log",
    "EnvelopeTooLargeError": "sealflow.errors",
    "EvidenceError": "sealflow.errors",
    "Image": "sealflow.owner.client.request",
    "InferResult": "sealflow.owner.client.result",
    "InputQueue": "sealflow.owner.queue.queues",
    "InvalidInputError": "sealflow.errors",
    "Label": "sealflow.owner.client.result",
    "LogEntry": "sealflow.documents.log",
    "MalformedError": "sealflow.errors",
    "Mismatch": "sealflow.errors",
    "ModelError": "sealflow.errors",
    "QuotaExceededError": "sealflow.errors",
    "TenantRefusedError": "sealflow.errors",
    "ModelRef": "sealflow.wire.ids",
    "NewerFormatError": "sealflow.errors",
    "OpenError": "sealflow.errors",
    "OutOfDateWaiver": "sealflow.attest.requirements",
    "Outcome": "sealflow.owner.client.result",
    "OutputQueue": "sealflow.owner.queue.queues",
    "OwnerKey": "sealflow.owner.models.owner_key",
    "PlatformFlag": "sealflow.attest.reports",
    "Policy": "sealflow.attest.policy",
    "PolicyError": "sealflow.errors",
    "PolicyLine": "sealflow.owner.trust.policy_text",
    "ProvenFact": "sealflow.owner.trust.trust_text",
    "QueueClient": "sealflow.owner.queue.client",
    "QueueFullError": "sealflow.errors",
    "Receipt": "sealflow.documents.receipt",
    "ReceiptProof": "sealflow.owner.audit.receipt_proof",
    "RefusalCode": "sealflow.errors",
    "RefusedError": "sealflow.errors",
    "Requirements": "sealflow.attest.requirements",
    "Revoked": "sealflow.documents.revocation",
    "RevokedKind": "sealflow.documents.revocation",
    "Role": "sealflow.attest.evidence",
    "SealflowError": "sealflow.errors",
    "SignedReceipt": "sealflow.documents.receipt",
    "SimulationPolicy": "sealflow.attest.policy",
    "SnpRequirements": "sealflow.attest.vm_requirements",
    "SuiteName": "sealflow.attest.suites",
    "TcbStatus": "sealflow.attest.reports",
    "TdxRequirements": "sealflow.attest.vm_requirements",
    "Tee": "sealflow.attest.evidence",
    "Tensor": "sealflow.openinfer.tensor",
    "TensorSpec": "sealflow.openinfer.tensor",
    "Tensors": "sealflow.owner.client.request",
    "TrustDomain": "sealflow.wire.domain",
    "TrustPolicy": "sealflow.owner.trust.policy_file",
    "TrustReport": "sealflow.owner.trust.report",
    "TrustedVerifier": "sealflow.attest.verifiers",
    "TrustedWitness": "sealflow.attest.verifiers",
    "UnavailableError": "sealflow.errors",
    "VerificationError": "sealflow.errors",
    "VerifiedReceipt": "sealflow.owner.audit.receipt_proof",
    "Visibility": "sealflow.owner.trust.trust_text",
    "WitnessRequirements": "sealflow.attest.verifiers",
    "WorkerGoneError": "sealflow.errors",
    "audit_log": "sealflow.owner.audit.log_audit",
    "create_owner_key": "sealflow.owner.models.owner_key",
    "describe_policy": "sealflow.owner.trust.policy_text",
    "load_owner_key": "sealflow.owner.models.owner_key",
    "load_policy": "sealflow.owner.trust.policy_file",
    "pack_folder": "sealflow.owner.models.packing",
    "verify_receipt": "sealflow.owner.audit.receipt_proof",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> object:
    """Import a public name at its first use.

    Raises: ImportError that says which extra to install, when a library is missing.
    """
    module = _MODULES.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        value = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        advice = install_advice(error)
        if advice is None:
            raise
        raise ImportError(advice, name=error.name) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
