"""Where studies lie: one SQLite file a study, or any Optuna URL; and the lock that keeps a second driver out."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import optuna
import platformdirs
import sqlalchemy

from eafo.errors import EafoError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Place", "find", "locked", "opened"]

_FOLDER = Path("studies")
_PATIENCE = 60.0
#: So long a PostgreSQL server may take to notice that a driver was killed.
_GRACE = "5s"
_BUSY = "a study must have one driver at a time, and one is at work"
_WAIT = "wait until it ends, or choose another name"


@dataclass(frozen=True)
class Place:
    """Where a study lies.

    Args:
        name: the study's name.
        url: what Optuna opens.
        file: the SQLite file, None for any other kind of storage.
    """

    name: str
    url: str
    file: Path | None

    @property
    def lock(self) -> Path:
        """The file whose lock a driver holds."""
        if self.file is not None:
            return self.file.with_name(f"{self.file.name}.lock")
        digest = hashlib.sha256(f"{self.url}\n{self.name}".encode()).hexdigest()[:32]
        return platformdirs.user_state_path("eafo") / "locks" / f"{digest}.lock"


def find(name: str, storage: str | Path | None = None) -> Place:
    """Where the study of this name lies.

    Args:
        name: the study's name.
        storage: a database URL as Optuna takes it, or the path of a SQLite file; ``./studies/NAME.db`` where not given.

    Raises:
        InputError: the URL is malformed, or names no file.

    >>> find("p", "sqlite:////tmp/p.db").file.name
    'p.db'
    """
    if storage is None or isinstance(storage, Path) or "://" not in storage:
        file = Path(storage or _FOLDER / f"{name}.db").absolute()
        url = sqlalchemy.URL.create("sqlite", database=str(file))
        return Place(name, url.render_as_string(hide_password=False), file)
    try:
        parsed = sqlalchemy.make_url(storage)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise InputError("a storage must be a database URL or the path of a SQLite file", storage) from error
    if not parsed.drivername.startswith("sqlite"):
        if parsed.drivername == "postgresql":  # The driver that the extra `postgres` installs.
            storage = parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        return Place(name, storage, None)
    if parsed.database in (None, "", ":memory:"):
        raise InputError("a SQLite storage must be a file, or nothing could be resumed", storage)
    return Place(name, storage, Path(str(parsed.database)).absolute())


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Hold the study against a second driver; the lock ends with the process, however it ends.

    In a PostgreSQL database the study is held against drivers on every machine, in any other that is no file against those of the same
    user on this machine.

    Raises:
        InputError: another driver holds it, the folder cannot be written, or the database cannot be opened.
        MissingDependencyError: the database's driver is not installed.
    """
    try:
        place.lock.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(place.lock, timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError(_BUSY, place.name, _WAIT) from error
    except OSError as error:
        folder = str(place.lock.parent)
        raise InputError(f"the storage's folder must be writable ({error.strerror})", folder) from error
    try:
        with _advisory_lock(place) if place.url.startswith("postgresql") else nullcontext():
            yield
    finally:
        lock.release()


@contextmanager
def _advisory_lock(place: Place) -> Iterator[None]:
    """A lock in the database that lasts as long as this connection to it."""
    with _opening(place):
        engine = sqlalchemy.create_engine(
            place.url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT"
        )
        connection = engine.connect()
    key = int.from_bytes(hashlib.sha256(place.name.encode()).digest()[:8], "big", signed=True)
    try:
        # Of a driver whose machine has vanished the server hears nothing, and would keep the lock for hours.
        for setting in ("tcp_keepalives_idle = 60", f"lock_timeout = '{_GRACE}'"):
            connection.execute(sqlalchemy.text(f"SET {setting}"))
        try:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
        except sqlalchemy.exc.OperationalError as error:
            raise InputError(_BUSY, place.name, _WAIT) from error
        yield
    finally:
        with suppress(sqlalchemy.exc.SQLAlchemyError):  # The server may be gone.
            connection.close()


@contextmanager
def _opening(place: Place) -> Iterator[None]:
    """One clear error for whatever a database is refused with."""
    try:
        yield
    except ImportError as error:
        remedy = 'pip install "eafo[postgres]"' if place.url.startswith("postgresql") else ""
        raise MissingDependencyError(
            f"the storage needs the database's driver ({error})", remedy=remedy
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        raise InputError(
            f"the storage must be a database that Optuna can open ({_reason(error)})", _shown(place)
        ) from error


def _shown(place: Place) -> str:
    if place.file is not None:
        return str(place.file)
    return sqlalchemy.make_url(place.url).render_as_string(hide_password=True)


def _reason(error: BaseException) -> str:
    """What the database itself said."""
    while isinstance(error, optuna.exceptions.StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def opened(place: Place) -> Iterator[optuna.storages.RDBStorage]:
    """The storage, made where it is not there yet, closed at the end.

    Raises:
        InputError: the file belongs to something else, or the database cannot be opened.
        MissingDependencyError: the database's driver is not installed.
        EafoError: the database failed later on: its disk is full, its server gone.
    """
    if place.file is not None:
        _check_file(place.file)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    arguments = {"connect_args": {"timeout": _PATIENCE}} if place.file is not None else {}
    with _opening(place):
        storage = optuna.storages.RDBStorage(place.url, engine_kwargs=arguments)
    try:
        yield storage
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise EafoError(
            f"the storage must keep what it is told, but failed ({_reason(error)})",
            _shown(place),
            "mend it, then the same command goes on from there",
        ) from error
    finally:
        with suppress(sqlalchemy.exc.SQLAlchemyError):
            storage.remove_session()
        storage.engine.dispose()


def _check_file(file: Path) -> None:
    """Refuse a file that is no study's before anything is written into it."""
    if not file.exists() or file.stat().st_size == 0:
        return
    rule = "a study's file must be one that eafo or Optuna made"
    try:
        # Writable, though nothing is written: a driver that was killed may have left a journal to roll back.
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=_PATIENCE)) as connection:
            tables = {
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
    except sqlite3.DatabaseError as error:
        raise InputError(rule, str(file), "choose another name or storage") from error
    if tables and "studies" not in tables:
        raise InputError(rule, str(file), "choose another name or storage")
