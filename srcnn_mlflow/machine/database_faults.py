"""Why a database of a server cannot be connected to, and what to do, by what its driver says."""

import re

# What drivers say, and what a person can do; the first that is found decides.
_ADVICE = {
    r"password authentication failed|Access denied|no password supplied": "check the name and the "
    "password; {variable} has them, or PGUSER and PGPASSWORD, or ~/.pgpass",
    r'role "[^"]*" does not exist': "check the name in {variable}, or let the administrator make "
    "that role (createuser)",
    r'database "[^"]*" does not exist|Unknown database': "check the database's name in {variable}, "
    "or let the administrator make it (createdb)",
    r"no pg_hba\.conf entry": "let the administrator allow this machine in pg_hba.conf, or check "
    "sslmode in {variable}",
    r"Connection refused": "start the database server, and check host and port in {variable}",
    r"[Tt]imeout|timed out": "check host and port in {variable}, and whether a firewall lets this "
    "machine through",
    r"resolve|getaddrinfo|Name or service": "check the host in {variable}, and this machine's "
    "network",
    r"too many (clients|connections)|remaining connection slots": "wait until others have ended, "
    "or raise max_connections",
}
_USUAL = "check that it runs, and the address, the name and the password in {variable}"
# What SQLAlchemy and psycopg put before the server's own words.
_BEFORE = re.compile(
    r"\([\w.]+\) |connection (failed|is bad): |connection to server at [^:]*failed: |FATAL: +"
)


def connection_fault(said: str, variable: str) -> str:
    """What a driver says of a connection that failed, and what to do.

    Args:
        said: by the driver, of which the first line counts.
        variable: what holds the address.

    >>> print(connection_fault("connection failed: Connection refused", "--storage"))
    Connection refused; start the database server, and check host and port in --storage
    """
    line = (said.strip().splitlines() or [""])[0]
    found = next((advice for told, advice in _ADVICE.items() if re.search(told, said)), _USUAL)
    return f"{_BEFORE.sub('', line)}; {found.format(variable=variable)}"
