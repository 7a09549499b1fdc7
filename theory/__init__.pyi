from . import geometry as geometry
from . import kernels as kernels
from . import networks as networks
from . import training as training
from . import validation as validation
from . import verification as verification
