"""Who may do what: service accounts with tokens, and what Roles let them do."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tests.support.kubernetes.api.store import StatusError
from tests.support.kubernetes.node.controllers import BY_NAME

if TYPE_CHECKING:
    from tests.support.kubernetes.api.kinds import Kind
    from tests.support.kubernetes.api.store import Object, Store


class Access:
    """Judges as Kubernetes' RBAC does, by the Roles and RoleBindings of a store."""

    def __init__(self, store: Store) -> None:
        """Know nobody yet."""
        self._store = store
        self._accounts: dict[str, tuple[str, str]] = {}
        self.refused: list[str] = []

    def token(self, namespace: str, account: str) -> str:
        """Give a service account's pod a token of its own.

        Raises: StatusError when there is no such account.
        """
        self._store.get(BY_NAME["ServiceAccount"], namespace, account)
        token = secrets.token_urlsafe(16)
        self._accounts[token] = (namespace, account)
        return token

    def check(self, authorization: str, verb: str, kind: Kind, namespace: str, name: str) -> None:
        """Let a request pass, or not.

        Raises: StatusError.
        """
        token = authorization.removeprefix("Bearer ")
        account = self._accounts.get(token)
        if account is None:
            raise StatusError(401, "Unauthorized", "Unauthorized")
        group = kind.api_version.rpartition("/")[0]
        for rule in self._rules(*account, namespace):
            names = rule.get("resourceNames")
            if (
                group in rule["apiGroups"]
                and kind.plural in rule["resources"]
                and verb in rule["verbs"]
                and (names is None or name in names)
            ):
                return
        who = f"system:serviceaccount:{account[0]}:{account[1]}"
        message = f'{kind.plural} "{name}" is forbidden: User "{who}" cannot {verb} it'
        self.refused.append(message)
        raise StatusError(403, "Forbidden", message)

    def _rules(self, home: str, account: str, namespace: str) -> list[Object]:
        who = {"kind": "ServiceAccount", "name": account, "namespace": home}
        found: list[Object] = []
        for binding in self._store.all(BY_NAME["RoleBinding"], namespace):
            if who in binding["subjects"]:
                role = self._store.get(BY_NAME["Role"], namespace, binding["roleRef"]["name"])
                found += role["rules"]
        return found
