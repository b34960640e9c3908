"""``ldap:file``: ask an LDAP directory. Source: ldap_table(5).

The parts: :mod:`.settings` reads the configuration, :mod:`.expansion` knows which searches a lookup takes and
what becomes of their entries, :mod:`.directory` has the shared connection, with fail-over. The driver is
python-ldap (docs/dependencies.md).
"""

from __future__ import annotations

from gateway.maps.ldap.expansion import LdapExpansion
from gateway.maps.ldap.settings import LONGEST_TIMEOUT_S, read_settings
from gateway.maps.query_template import search_key
from gateway.maps.source import Surroundings
from gateway.maps.table import RemoteTable
from gateway.model.errors import ConfigError, TableError

WARNINGS_LIMIT = 100


class LdapTable(RemoteTable):
    """A table that asks an LDAP directory. It connects at the first lookup, and again whenever it has to.

    Args:
        spec: as configured.
        name: the file with its parameters, with its whole path; or the prefix of main.cf parameters.
        around: directory, main.cf, tables of ``domain``.

    Raises:
        ConfigError: a parameter is wrong (with file and line), or the driver is not installed.
    """

    deadline_s = float(LONGEST_TIMEOUT_S)

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec)
        self._settings = read_settings(spec, name, around)
        try:
            from gateway.maps.ldap import connection, directory
        except ImportError as error:
            raise ConfigError(
                f"table {spec}: needs python-ldap; install postgate[ldap], which wants a C compiler, libldap-dev and "
                f"libsasl2-dev ({error})"
            ) from error
        self._failures = (connection.Refused, connection.Lost, TimeoutError)
        self._directory = directory.shared_directory(self._settings.access, around.config, around.clock)
        self._directory.join()
        self._around = around
        self._warned: set[str] = set()

    async def find(self, key: str) -> str | None:
        """The values found, in ``result_format``, joined with commas.

        Raises:
            TableError: no answer now, or a limit is reached.
        """
        folded = search_key(key)
        if folded is None or not await self._settings.domains.matches(folded):
            return None
        plan = self._settings.plan
        run = LdapExpansion(self.spec, plan, folded, self._warn_once).run()
        try:
            search = next(run)
            while True:
                answer = await self._directory.search(search, plan.size_limit, chases=plan.chases)
                search = run.send(answer)
        except StopIteration as end:
            found: str | None = end.value
            return found
        except self._failures as error:
            raise TableError(self.spec, str(error)) from error

    def _warn_once(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < WARNINGS_LIMIT:
            self._warned.add(text)
            self._around.warn(text)

    async def close(self) -> None:
        """Leave the connection; the last table of it closes it."""
        self._directory.leave()
