"""The two layers of every function: Axon's library and its dependencies."""

from collections.abc import Sequence

from aws_cdk import BundlingOptions, DockerImage
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.functions.wheels import ROOT, Wheels
from infra.settings.environment import EnvironmentSettings

CACHES = ["**/__pycache__", "**/*.pyc"]
"""Python's caches. They differ between machines, so an asset with them would change its hash."""


class Layers(Construct):
    """The layers of a stack's functions.

    Parameters
    ----------
    name : str
        Beginning of the layers' names.
    extras : Sequence[str]
        Extras of the project whose packages are installed, too.

    Attributes
    ----------
    shared
        Changes with the library's source.
    dependencies
        Changes with ``uv.lock``.

    Raises
    ------
    WheelsError
        The packages cannot be installed.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        name: str,
        extras: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, id)
        self._settings, self._name, self._extras = settings, name, extras
        self.shared = self._layer("Shared", _shared(), "Axon's library")
        self.dependencies = self._dependencies()

    def _dependencies(self) -> lambda_.LayerVersion:
        functions = self._settings.functions
        wheels = Wheels(
            python=functions.python, architecture=functions.architecture, extras=self._extras
        )
        try:
            return self._layer("Dependencies", _bundled(wheels), "Packages that the library needs")
        except RuntimeError as error:
            # jsii replaces every exception raised in `wheels` by a RuntimeError.
            if wheels.failure is not None:
                raise wheels.failure from error
            raise

    def _layer(self, id: str, code: lambda_.Code, description: str) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            id,
            layer_version_name=f"{self._name}-{id.lower()}",
            description=description,
            code=code,
            compatible_runtimes=[runtime(self._settings)],
            compatible_architectures=[architecture(self._settings)],
        )


def runtime(settings: EnvironmentSettings) -> lambda_.Runtime:
    """Return the Python of the functions."""
    return lambda_.Runtime(f"python{settings.functions.python}", lambda_.RuntimeFamily.PYTHON)


def architecture(settings: EnvironmentSettings) -> lambda_.Architecture:
    """Return the processor of the functions."""
    arm = settings.functions.architecture == "arm64"
    return lambda_.Architecture.ARM_64 if arm else lambda_.Architecture.X86_64


def _shared() -> lambda_.Code:
    return lambda_.Code.from_asset(str(ROOT / "layers/shared"), exclude=CACHES)


def _bundled(wheels: Wheels) -> lambda_.Code:
    return lambda_.Code.from_asset(
        str(ROOT / "layers/dependencies"),
        asset_hash=wheels.fingerprint,
        # CDK requires an image; `wheels` bundles locally, so it is never used.
        bundling=BundlingOptions(image=DockerImage.from_registry("unused"), local=wheels),
    )
