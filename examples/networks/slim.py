"""The networks of Araujo, Norris and Sim's table (Distill, 2019), up to their last feature map.

They are those of TF-Slim: ResNets stride in the last unit of a stage, and TensorFlow's "SAME" puts
the odd row of padding on the right, as it does here for sizes that the strides divide. Written in
symcnn's own layers, no torch needed. Norms and activations, which change neither sizes nor
receptive fields nor MACs, are left out; a pool that pads with zeros is right behind a ReLU.

Sources: Krizhevsky (one weird trick, 2014), Simonyan and Zisserman (2015), Howard et al. (2017), He
et al. (2016), Ioffe and Szegedy (2015), Szegedy et al. (2016; 2017).
"""

import symcnn
from symcnn import nn

AVG, MAX, DOWN = "avg", "max", "down"  # 3 x 3 pools: of stride 1, 1 and 2
VALID = "valid"


def pads(kernel, stride, padding):
    """Zeros in front and behind, along one axis."""
    total = 0 if padding == VALID else max(kernel - stride, 0)
    return total // 2, total - total // 2


def conv(c_in, c_out, kernel=1, stride=1, padding="same", groups=1):
    high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    zeros = (*pads(wide, stride, padding), *pads(high, stride, padding))
    layer = nn.Conv2d(c_in, c_out, (high, wide), stride, groups=groups, bias=False)
    return nn.Sequential(nn.ZeroPad2d(zeros), layer) if any(zeros) else layer


def pool(kind=MAX, kernel=3, stride=2, padding=VALID):
    zeros = pads(kernel, stride, padding) * 2
    layer = (nn.AvgPool2d if kind == AVG else nn.MaxPool2d)(kernel, stride)
    return nn.Sequential(nn.ZeroPad2d(zeros), layer) if any(zeros) else layer


def path(c_in, *layers, padding="same"):
    """Layers in a row, and the channels that come out.

    A layer is its channels (1 x 1), ``(channels, kernel[, stride[, padding]])``, a pool, or a list
    of layers side by side whose outputs are concatenated. `padding` is that of strided layers.
    """
    modules = []
    for layer in layers:
        if layer in (AVG, MAX):
            modules.append(pool(layer, 3, 1, "same"))
        elif layer == DOWN:
            modules.append(pool(MAX, 3, 2, padding))
        elif isinstance(layer, list):
            modules.append(Beside(c_in, *((one,) for one in layer)))
            c_in = modules[-1].channels
        else:
            layer = layer if isinstance(layer, tuple) else (layer,)
            c_out, kernel, stride, *own = (*layer, *(1, 1)[len(layer) - 1 :])
            style = own[0] if own else padding if stride > 1 else "same"
            modules.append(conv(c_in, c_out, kernel, stride, style))
            c_in = c_out
    return nn.Sequential(*modules), c_in


class Beside(nn.Module):
    """Paths side by side, concatenated."""

    def __init__(self, c_in, *paths, padding="same"):
        made = [path(c_in, *layers, padding=padding) for layers in paths]
        self.paths = nn.ModuleList(module for module, _ in made)
        self.channels = sum(channels for _, channels in made)

    def forward(self, x):
        return symcnn.cat([path(x) for path in self.paths], dim=1)


class Residual(nn.Module):
    """Paths side by side, brought back to the channels that came in, and added."""

    def __init__(self, c_in, *paths):
        self.paths = Beside(c_in, *paths)
        self.up = conv(self.paths.channels, c_in)
        self.channels = c_in

    def forward(self, x):
        return x + self.up(self.paths(x))


def chain(c_in, modules, *steps):
    """`modules`, then steps: functions from the channels to a module that knows its own."""
    modules = list(modules)
    for step in steps:
        modules.append(step(c_in))
        c_in = modules[-1].channels
    return modules, c_in


def beside(*paths, padding="same"):
    return lambda c_in: Beside(c_in, *paths, padding=padding)


def residual(*paths):
    return lambda c_in: Residual(c_in, *paths)


# AlexNet, VGG, MobileNet, ResNet ---------------------------------------------------------------


def alexnet_v2():
    layers = [(64, 11, 4, VALID), DOWN, (192, 5), DOWN, (384, 3), (384, 3), (256, 3), DOWN]
    return path(3, *layers, padding=VALID)[0]


def vgg_16():
    modules, channels = [], 3
    for count, out in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            modules.append(conv(channels, out, 3))
            channels = out
        modules.append(pool(MAX, 2, 2))
    return nn.Sequential(*modules)


def mobilenet_v1(alpha=1):
    """Howard et al., table 1; every 3 x 3 but the first is depthwise."""
    rows = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *5 * [(512, 1)]]
    channels = int(32 * alpha)
    modules = [conv(3, channels, 3, 2)]
    for out, stride in [*rows, (1024, 2), (1024, 1)]:
        out = int(out * alpha)
        modules.append(conv(channels, channels, 3, stride, groups=channels))
        modules.append(conv(channels, out))
        channels = out
    return nn.Sequential(*modules)


def mobilenet_v1_075():
    return mobilenet_v1(0.75)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a skip; TF-Slim pads the strided 3x3 alike on both sides."""

    def __init__(self, c_in, inner, stride):
        strided = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.body = nn.Sequential(conv(c_in, inner), strided, conv(inner, 4 * inner))
        thinned = nn.MaxPool2d(1, stride) if stride > 1 else nn.Identity()
        self.skip = thinned if c_in == 4 * inner else conv(c_in, 4 * inner, 1, stride)

    def forward(self, x):
        return self.body(x) + self.skip(x)


def resnet_v1(units):
    modules = [nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), pool(MAX, 3, 2, "same")]
    channels = 64
    for stage, count in enumerate(units):
        inner = 64 * 2**stage
        for unit in range(count):
            stride = 2 if unit == count - 1 and stage < 3 else 1
            modules.append(Bottleneck(channels, inner, stride))
            channels = 4 * inner
    return nn.Sequential(*modules)


def resnet_v1_50():
    return resnet_v1((3, 4, 6, 3))


def resnet_v1_101():
    return resnet_v1((3, 4, 23, 3))


def resnet_v1_152():
    return resnet_v1((3, 8, 36, 3))


def resnet_v1_200():
    return resnet_v1((3, 24, 36, 3))


# Inception -------------------------------------------------------------------------------------


def inception_v2():
    """Batch-normalised Inception; the first 7 x 7 is depthwise separable, 8 filters a channel."""

    def mixed(a, b, bb, c, cc, pooled, kind=AVG):
        return beside((a,), (b, (bb, 3)), (c, (cc, 3), (cc, 3)), (kind, pooled))

    def halved(a, aa, b, bb):
        return beside((a, (aa, 3, 2)), (b, (bb, 3), (bb, 3, 2)), (DOWN,))

    stem = [conv(3, 24, 7, 2, groups=3), conv(24, 64), pool(MAX, 3, 2, "same")]
    stem += [conv(64, 64), conv(64, 192, 3), pool(MAX, 3, 2, "same")]
    modules, _ = chain(
        192,
        stem,
        mixed(64, 64, 64, 64, 96, 32),
        mixed(64, 64, 96, 64, 96, 64),
        halved(128, 160, 64, 96),
        mixed(224, 64, 96, 96, 128, 128),
        mixed(192, 96, 128, 96, 128, 128),
        mixed(160, 128, 160, 128, 160, 96),
        mixed(96, 128, 192, 160, 192, 96),
        halved(128, 192, 192, 256),
        mixed(352, 192, 320, 160, 224, 128),
        mixed(352, 192, 320, 192, 224, 128, MAX),
    )
    return nn.Sequential(*modules)


def stem_v3():
    first = [(32, 3, 2, VALID), (32, 3, 1, VALID), (64, 3), DOWN]
    return path(3, *first, 80, (192, 3, 1, VALID), DOWN, padding=VALID)[0]


ROW, COLUMN = (1, 7), (7, 1)


def inception_v3():
    def small(pooled):
        return beside((64,), (48, (64, 5)), (64, (96, 3), (96, 3)), (AVG, pooled))

    def crossed(c):
        turns = ((c, COLUMN), (c, ROW), (c, COLUMN), (192, ROW))
        return beside((192,), (c, (c, ROW), (192, COLUMN)), (c, *turns), (AVG, 192))

    split = [(384, (1, 3)), (384, (3, 1))]
    last = beside((320,), (384, split), (448, (384, 3), split), (AVG, 192))
    modules, _ = chain(
        192,
        [stem_v3()],
        small(32),
        small(64),
        small(64),
        beside(((384, 3, 2),), (64, (96, 3), (96, 3, 2)), (DOWN,), padding=VALID),
        *map(crossed, (128, 160, 160, 192)),
        beside(
            (192, (320, 3, 2)),
            (192, (192, ROW), (192, COLUMN), (192, 3, 2)),
            (DOWN,),
            padding=VALID,
        ),
        last,
        last,
    )
    return nn.Sequential(*modules)


def inception_v4():
    turns = ((192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW))
    split = [(256, (1, 3)), (256, (3, 1))]
    a = beside((96,), (64, (96, 3)), (64, (96, 3), (96, 3)), (AVG, 96))
    b = beside((384,), (192, (224, ROW), (256, COLUMN)), (192, *turns), (AVG, 128))
    c = beside((256,), (384, split), (384, (448, (3, 1)), (512, (1, 3)), split), (AVG, 256))
    modules, _ = chain(
        64,
        [path(3, (32, 3, 2, VALID), (32, 3, 1, VALID), (64, 3))[0]],
        beside((DOWN,), ((96, 3, 2),), padding=VALID),
        beside(
            (64, (96, 3, 1, VALID)),
            (64, (64, ROW), (64, COLUMN), (96, 3, 1, VALID)),
        ),
        beside(((192, 3, 2),), (DOWN,), padding=VALID),
        *4 * [a],
        beside(((384, 3, 2),), (192, (224, 3), (256, 3, 2)), (DOWN,), padding=VALID),
        *7 * [b],
        beside(
            (192, (192, 3, 2)),
            (256, (256, ROW), (320, COLUMN), (320, 3, 2)),
            (DOWN,),
            padding=VALID,
        ),
        *3 * [c],
    )
    return nn.Sequential(*modules)


def inception_resnet_v2():
    modules, channels = chain(
        192,
        [stem_v3()],
        beside((96,), (48, (64, 5)), (64, (96, 3), (96, 3)), (AVG, 64)),
        *10 * [residual((32,), (32, (32, 3)), (32, (48, 3), (64, 3)))],
        beside(((384, 3, 2),), (256, (256, 3), (384, 3, 2)), (DOWN,), padding=VALID),
        *20 * [residual((192,), (128, (160, ROW), (192, COLUMN)))],
        beside(
            (256, (384, 3, 2)),
            (256, (288, 3, 2)),
            (256, (288, 3), (320, 3, 2)),
            (DOWN,),
            padding=VALID,
        ),
        *10 * [residual((192,), (192, (224, (1, 3)), (256, (3, 1))))],
    )
    return nn.Sequential(*modules, conv(channels, 1536))


#: Araujo, Norris and Sim's table: receptive field, effective stride, effective padding; and the
#: 10^9 FLOPs at 224 x 224 that their library lists besides.
TABLE = {
    alexnet_v2: (195, 32, 64, 1.38),
    vgg_16: (212, 32, 90, 30.71),
    mobilenet_v1: (315, 32, 126, 1.14),
    mobilenet_v1_075: (315, 32, 126, 0.65),
    resnet_v1_50: (483, 32, 239, 6.96),
    resnet_v1_101: (1027, 32, 511, 14.39),
    resnet_v1_152: (1507, 32, 751, 21.81),
    resnet_v1_200: (1763, 32, 879, 28.80),
    inception_v2: (699, 32, 318, 3.88),
    inception_v3: (1311, 32, 618, 5.69),
    inception_v4: (2071, 32, 998, 12.27),
    inception_resnet_v2: (3039, 32, 1482, 12.96),
}
