"""One padding mode per axis: a map of the world reflects at its poles and goes round at its date line."""

import numpy as np

import pyconvx as cx

# A temperature by latitude and longitude, every 5 degrees: warm at the equator, with a wave around the globe.
latitude = np.radians(np.arange(-87.5, 90, 5))[:, None]
longitude = np.radians(np.arange(-177.5, 180, 5))[None, :]
temperature = 30 * np.cos(latitude) + 4 * np.cos(latitude) * np.sin(3 * longitude)
world = temperature[..., None]  # (36, 72, 1): one channel

smooth = cx.filters["gaussian"].as_filters(sigma=2.0).astype(np.float64)
y = cx.conv2d(world, smooth, padding="same", padding_mode=("reflect", "circular"))

# The date line is no border: turning the globe first or afterwards is the same.
turned = cx.conv2d(np.roll(world, 30, axis=1), smooth, padding="same", padding_mode=("reflect", "circular"))
assert np.allclose(np.roll(y, 30, axis=1), turned)

# With zeros beyond the map, the date line would be a cold wall.
cold = cx.conv2d(world, smooth, padding="same")
print(f"at the equator, beside the date line: {world[18, 0, 0]:.1f} degrees")
print(f"smoothed with (reflect, circular):    {y[18, 0, 0]:.1f}")
print(f"smoothed with zeros:                  {cold[18, 0, 0]:.1f}")
