from . import figures as figures
from . import sims as sims
from . import theory as theory
from .sims.engine.claims import Claim as Claim
from .sims.engine.experiment import Experiment as Experiment
from .sims.engine.experiment import Study as Study
from .sims.engine.experiment import load as load
from .sims.engine.plan import run as run
from .sims.engine.registry import studies as studies
from .theory import geometry as geometry
from .theory import kernels as kernels
from .theory import networks as networks
from .theory import training as training
from .theory.verification.certify import certify as certify
from .theory.verification.falsify import falsify as falsify
from .theory.verification.inequality import Bound as Bound
from .theory.verification.registry import theorems as theorems
from .theory.verification.theorem import Control as Control
from .theory.verification.theorem import Theorem as Theorem
from .theory.verification.verify import verify as verify

__version__: str
