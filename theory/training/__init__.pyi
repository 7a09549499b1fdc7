from . import dual as dual
from . import function_space as function_space
from . import gradient_descent as gradient_descent
from . import kernel_flow as kernel_flow
from . import momentum as momentum
