from pathlib import Path

import psutil
import pytest
import redis

from tests.support.waiting import wait_until
from trackrelay.worker.devstack.servers import ServerError, ValkeyProcess


def client_of(server: ValkeyProcess) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=5)


def test_it_is_set_up_as_trackrelay_needs_its_redis(own_redis: ValkeyProcess) -> None:
    config = client_of(own_redis).config_get("*")

    assert (config["appendonly"], config["maxmemory-policy"], config["bind"]) == (
        "yes",
        "noeviction",
        "127.0.0.1",
    )


def test_settings_of_the_caller_win() -> None:
    chosen = {"appendfsync": "always", "maxmemory": "64mb", "maxmemory-policy": "allkeys-lru"}
    with ValkeyProcess(config=chosen) as server:
        config = client_of(server).config_get("*")

    assert (config["appendfsync"], config["maxmemory"]) == ("always", str(64 * 1024**2))
    assert config["maxmemory-policy"] == "allkeys-lru"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_written_is_there_on_the_same_port_after_it_ended(
    own_redis: ValkeyProcess, end: str
) -> None:
    client_of(own_redis).set("kept", "yes")
    url, pid = own_redis.url, own_redis.pid

    getattr(own_redis, end)()
    assert not own_redis.running
    with pytest.raises(redis.ConnectionError):
        client_of(own_redis).ping()
    own_redis.start()

    assert (own_redis.url, client_of(own_redis).get("kept")) == (url, b"yes")
    assert own_redis.pid != pid


def test_a_given_folder_outlives_the_server(tmp_path: Path) -> None:
    with ValkeyProcess(tmp_path / "redis") as server:
        client_of(server).set("kept", "yes")
    with ValkeyProcess(tmp_path / "redis") as another:
        assert client_of(another).get("kept") == b"yes"


def test_a_temporary_folder_does_not_outlive_the_server() -> None:
    with ValkeyProcess() as server:
        assert server.data_dir.is_dir()
    assert not server.data_dir.exists()


def test_a_second_server_is_kept_off_the_folder(tmp_path: Path) -> None:
    with ValkeyProcess(tmp_path) as first:
        with pytest.raises(ServerError, match=f"another Valkey is running on {tmp_path}"):
            ValkeyProcess(tmp_path).start()
        assert client_of(first).ping()


def test_a_paused_server_keeps_its_connections_and_answers_when_it_continues(
    own_redis: ValkeyProcess,
) -> None:
    client = redis.Redis.from_url(own_redis.url, socket_timeout=0.3, retry=None)
    client.ping()

    own_redis.pause()
    with pytest.raises(redis.TimeoutError):
        client.ping()
    own_redis.resume()

    assert client.ping()


def test_a_port_of_another_program_is_left_alone(own_redis: ValkeyProcess) -> None:
    clashing = ValkeyProcess()
    clashing.port = own_redis.port
    with clashing:
        assert clashing.port != own_redis.port
        assert client_of(clashing).ping()


def test_a_port_that_was_asked_for_is_waited_for_and_then_the_log_is_shown(
    own_redis: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackrelay.worker.devstack.servers.server_process.PORT_TIMEOUT_S", 0.3)
    clashing = ValkeyProcess(port=own_redis.port)
    with pytest.raises(ServerError, match="Address already in use"):
        clashing.__enter__()


def test_a_wrong_setting_is_shown_with_the_servers_message() -> None:
    with pytest.raises(ServerError, match="nonsense"), ValkeyProcess(config={"nonsense": "1"}):
        pass


def test_a_running_server_has_a_process_id_and_a_stopped_one_none(own_redis: ValkeyProcess) -> None:
    assert client_of(own_redis).info("server")["process_id"] == own_redis.pid
    own_redis.stop()
    with pytest.raises(ServerError, match="Valkey is not running"):
        _ = own_redis.pid


def test_a_server_that_died_is_noticed_and_can_be_started_again(
    own_redis: ValkeyProcess,
) -> None:
    client_of(own_redis).shutdown(nosave=True)
    wait_until(lambda: not own_redis.running, 5, "the server to be gone")
    own_redis.start()
    assert client_of(own_redis).ping()


def test_with_a_password_nobody_gets_in_without_it_and_no_process_list_shows_it(
    tmp_path: Path,
) -> None:
    with ValkeyProcess(tmp_path, with_password=True) as server:
        stranger = redis.Redis(port=server.port)
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        client_of(server).set("kept", "yes")
        assert len(server.password) == 32
        assert server.password not in " ".join(psutil.Process(server.pid).cmdline())
        assert (tmp_path / "password.conf").stat().st_mode & 0o077 == 0
        password, url = server.password, server.url
        server.restart()
        assert (server.password, server.url, client_of(server).get("kept")) == (
            password,
            url,
            b"yes",
        )
