"""Storage of a study for processes without a shared disk: a database, or Optuna's gRPC proxy of one.

Every process regularly records a heartbeat for its trial. If the heartbeats stop, another process marks the trial as
failed, and the trial waits to be tried again.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc  # also required by TensorBoard
import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import GrpcStorageProxy, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from lit_a1.runs.settings import UsageError
from lit_a1.studies.search.study import TRIES

INTERVAL, GRACE = 20, 120  # seconds between two heartbeats, and without one until a trial is given up
PATIENCE = 10  # seconds that a server has to answer
SETUP_DELAYS = (0.5, 1, 2, None)  # seconds between tries to create the tables, as other processes may create them too
BEAT = "heartbeat"
FAILURES = (SQLAlchemyError, StorageInternalError, grpc.RpcError)
EXAMPLES = "postgresql://USER@HOST/DATABASE, sqlite:///FILE or grpc://HOST:PORT"
DRIVERS = {"psycopg": 'pip install "psycopg[binary]"', "MySQLdb": "pip install mysqlclient"}
OPTIONS: dict[str, dict[str, Any]] = {  # options of drivers, by their names in URLs
    # without it, a PostgreSQL database that has no encoding answers in bytes
    **{name: {"connect_timeout": PATIENCE, "client_encoding": "utf8"} for name in ("psycopg", "psycopg2")},
    **{name: {"connect_timeout": PATIENCE} for name in ("pymysql", "mysqldb")},
    "pysqlite": {"timeout": 60},  # while another process writes
}


class GrpcStorage(GrpcStorageProxy, BaseHeartbeat):
    """Optuna's proxy, with the heartbeat that it lacks.

    A heartbeat is a change of an attribute of the trial. Each process uses only its own clock, so clocks may differ.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host=host, port=port)
        self._beats: dict[int, tuple[Any, float]] = {}  # by trial: the last heartbeat, and when it was first seen

    def record_heartbeat(self, trial_id: int) -> None:
        """Records that the process of a trial is alive."""
        self.set_trial_user_attr(trial_id, BEAT, time.time())

    def get_heartbeat_interval(self) -> int:
        """Seconds between two heartbeats."""
        return INTERVAL

    def get_heartbeat_stale_trial_callback(self) -> Callable[[optuna.Study, FrozenTrial], None]:
        """The callback for a trial that was given up."""
        return retry_callback()

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        now, stale = time.monotonic(), []
        for trial in self.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,)):
            beat, since = self._beats.get(trial._trial_id, (None, now))
            newest = trial.user_attrs.get(BEAT)
            self._beats[trial._trial_id] = (newest, since if beat == newest else now)
            if beat == newest and now - since > GRACE:
                stale.append(trial._trial_id)
        return stale


Storage = RDBStorage | GrpcStorage


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Hides Optuna's warnings that its heartbeat and proxy are experimental, and meant for `Study.optimize`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed to be used with Study.optimize")
        yield


def retry_callback() -> RetryHeartbeatStaleTrialCallback:
    """A callback that queues a failed trial again, with the same settings, unless it has failed too often."""
    with quiet_optuna():
        return RetryHeartbeatStaleTrialCallback(max_retry=TRIES)


@contextmanager
def open_storage(url: str) -> Iterator[Storage]:
    """The storage at a URL; its failures inside the block become errors of one sentence, without the password.

    Raises a UsageError for an invalid URL, and a ConnectionError if its driver is missing, it does not answer or
    refuses, or its tables are of another version of Optuna.
    """
    parts = parse_url(url)
    try:
        with quiet_optuna():
            storage = _proxy(parts) if parts.drivername == "grpc" else _database(parts)
        try:
            yield storage
        finally:
            storage.close() if isinstance(storage, GrpcStorage) else storage.engine.dispose()
    except FAILURES as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        words = f"{cause.orig if isinstance(cause, DBAPIError) else cause}"
        if isinstance(cause, grpc.RpcError):
            words = cause.details()
        elif parts.password:
            words = words.replace(parts.password, "***")
        first, *_ = words.strip().splitlines() or [type(cause).__name__]
        raise ConnectionError(f"the storage {public_url(url)} fails: {first}") from error


def parse_url(url: str) -> URL:
    """The parts of a URL, for PostgreSQL with this project's driver; raises a UsageError if it is invalid."""
    try:
        found = make_url(url)
        if found.drivername != "grpc":
            found.get_dialect()
        elif not found.host or not found.port:
            raise ValueError("host or port is missing")
    except (ArgumentError, ValueError) as error:  # its message repeats the URL with the password
        raise UsageError(f"storage must be a URL such as {EXAMPLES}") from error
    return found.set(drivername="postgresql+psycopg") if found.drivername == "postgresql" else found


def public_url(url: str) -> str:
    """The URL without user, password and options."""
    found = parse_url(url)
    shown = URL.create(found.get_backend_name(), host=found.host, port=found.port, database=found.database)
    return shown.render_as_string()


def _proxy(url: URL) -> GrpcStorage:
    storage = GrpcStorage(url.host, url.port)  # type: ignore[arg-type]  # `parse_url` has made sure of both
    try:
        storage.wait_server_ready(PATIENCE)
    except ConnectionError as error:
        raise ConnectionError(f"the storage {public_url(str(url))} does not answer") from error
    return storage


def _database(url: URL) -> RDBStorage:
    for wait in SETUP_DELAYS:
        try:
            return RDBStorage(
                url.render_as_string(hide_password=False),
                {"pool_pre_ping": True, "connect_args": OPTIONS.get(url.get_driver_name(), {})},
                heartbeat_interval=INTERVAL,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=retry_callback(),
            )
        except ImportError as error:
            missing = getattr(error.__cause__, "name", None) or url.get_driver_name()
            how = DRIVERS.get(missing, f"pip install {missing}")
            raise ConnectionError(f"{missing}, which {url.drivername} needs, is not installed: {how}") from error
        except RuntimeError as error:
            words = f"the storage {public_url(str(url))} is of another version of Optuna: {error}"
            raise ConnectionError(words) from error
        except DBAPIError as error:
            if wait is None or not (isinstance(error, IntegrityError) or "already exists" in str(error)):
                raise
            time.sleep(wait)
    raise AssertionError
