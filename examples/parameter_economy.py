"""Why convolution: parameters, output size and field of view of a stack of layers, with nothing computed."""

import math

import pyconvx as cx

shape: tuple[int, ...] = (1, 32, 32, 3)
layers = [  # filters, kernel, stride
    (16, 5, 1),
    (32, 3, 2),
    (64, 3, 2),
]
seen = []
print(f"{'layer':<22}{'output':>14}{'parameters':>12}{'dense':>16}{'sees':>8}")
for count, kernel, stride in layers:
    filters_shape = (count, kernel, kernel, shape[-1])
    result = cx.output_shape(cx.conv2d, shape, filters_shape, stride=stride, padding="same")
    parameters = math.prod(filters_shape) + count
    dense = (math.prod(shape) + 1) * math.prod(result)
    seen.append({"kernel_size": kernel, "stride": stride})
    field = cx.receptive_field(seen).size
    name = f"{count} of {kernel}x{kernel}x{shape[-1]}, stride {stride}"
    output = "x".join(map(str, result[1:]))
    print(f"{name:<22}{output:>14}{parameters:>12,}{dense:>16,}{f'{field}x{field}':>8}")
    shape = result
