r"""Decision maps: networks and their kernel surrogates on the plane of the two class means.

Points :math:`z = \alpha e_1 + \beta e_2` with the normalised class means :math:`e_1, e_2`, which
are in general not orthogonal. Every inner product with z is of rank two, so that a map costs
O(N) a point whatever the input dimension, and memory a block of points times N.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import geometry, networks, validation
from twolayer.theory.kernels import activations, angles, preactivations, shallow
from twolayer.theory.kernels.activations import ActivationLike
from twolayer.theory.networks import TwoLayer


def decision_map(
    p_f: TwoLayer,
    p_g: TwoLayer,
    x: Float[Array, "n d"],
    y: Float[Array, "n"],
    r: Float[Array, "n d"],
    gamma: ActivationLike,
    limits: tuple[float, float],
    resolution: int,
    block: int = 512,
) -> dict[str, Array]:
    r"""Outputs of f and g and of their surrogates on a square grid.

    Args:
      p_f: the trained network f.
      p_g: the trained network g.
      x: training samples, shape ``(n, d)``.
      y: labels, shape ``(n,)``.
      r: inputs that g was trained on, shape ``(n, d)``.
      gamma: slope, or an activation of degree one.
      limits: (low, high) of both coordinates.
      resolution: points along each axis, at least 2.
      block: points handled together.

    Returns:
      ``coordinates`` (resolution,), ``axes`` (2, d), ``samples`` (n, 2), the samples' coordinates
      in the plane after orthogonal projection, and maps of shape ``(resolution, resolution)``
      indexed ``[beta, alpha]``: outputs ``f`` and ``g``, surrogates ``fh`` and ``gh`` as in
      :func:`twolayer.theory.perturbation.wide.surrogate.surrogate_f` and ``surrogate_g``.

    Raises:
      ValueError: for wrong shapes, an empty class, limits out of order,
        ``block < 1``, or class means that are parallel to rounding, which span no plane (outside
        ``jit``, where the samples' coordinates are then infinite or NaN).
    """
    x = validation.matrix("x", x)
    y = validation.labels("y", y, length=x.shape[0])
    axes = geometry.plane_axes(x, y)
    y = y.astype(x.dtype)
    r = validation.matrix("r", r, rows=x.shape[0], columns=x.shape[1])
    resolution = validation.integer("resolution", resolution, low=2)
    coordinates = geometry.plane_grid(limits, resolution).astype(x.dtype)
    block = min(validation.integer("block", block), resolution**2)
    n, d = x.shape
    x_plane, r_plane = x @ axes.T, r @ axes.T
    # P(x_n) . e: the y-weighted inner sums of gh, once for all points.
    inner = shallow.gate_kernel(x, x, gamma) @ (y[:, None] * x_plane) / n
    metric = axes @ axes.T
    rounding = 8 * jnp.finfo(x.dtype).eps
    if not validation.holds(lambda known: jnp.linalg.det(known) > rounding, metric):
        raise ValueError("x must have class means that are not parallel; they span no plane.")

    def unit(plane: Array, norms: Array) -> Array:
        """Rows whose products with rows of another such set are cosines of augmented inputs."""
        return jnp.concatenate([plane, jnp.ones_like(plane[:, :1])], axis=1) / norms[:, None]

    centres = [
        (unit(x_plane / d, preactivations.aug_norm(x)).T, y[:, None] * x_plane / n),
        (unit(r_plane / d, preactivations.aug_norm(r)).T, inner / n),
    ]
    phi = activations.resolve(gamma).value
    both = [networks.checked(name, p, d=d) for name, p in (("p_f", p_f), ("p_g", p_g))]
    networks_plane = [(p, p.w @ axes.T) for p in both]

    def at(points: Array) -> tuple[Array, ...]:
        norms = jnp.sqrt(jnp.sum((points @ metric) * points, axis=1) / d + 1)
        outputs = [p.a @ phi(w_plane @ points.T + p.b[:, None]) for p, w_plane in networks_plane]
        for rows, weights in centres:
            cosine = angles.snap(unit(points, norms) @ rows)
            sums = shallow.gate_profile(cosine, gamma) @ weights
            outputs.append(jnp.sum(sums * points, axis=1))
        return tuple(outputs)

    grid = jnp.stack(jnp.meshgrid(coordinates, coordinates), axis=-1).reshape(-1, 2)
    padding = -grid.shape[0] % block
    blocks = jnp.pad(grid, ((0, padding), (0, 0))).reshape(-1, block, 2)
    maps = [
        leaf.reshape(-1)[: grid.shape[0]].reshape(resolution, resolution)
        for leaf in jax.lax.map(at, blocks)
    ]
    return {
        "coordinates": coordinates,
        "axes": axes,
        "samples": jnp.linalg.solve(metric, x_plane.T).T,
        **dict(zip(("f", "g", "fh", "gh"), maps, strict=True)),
    }
