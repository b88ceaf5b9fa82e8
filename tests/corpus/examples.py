"""The example networks, as the tests ask for them."""

NETWORKS = {
    "article_a": ("article_a:article_a", 3),
    "article_a_fixed": ("article_a:article_a_fixed", 3),
    "article_a_halving": ("article_a:article_a_halving", 3),
    "article_a_halving_fixed": ("article_a:article_a_halving_fixed", 3),
    "article_b": ("article_b:Net", 3),
    "article_c": ("article_c:Net", 1),
    "article_d": ("article_d:Net", 3),
    "alexnet": ("alexnet:alexnet", 3),
    "vgg16": ("vgg:vgg16", 3),
    "resnet18": ("resnet:resnet18", 3),
    "resnet34": ("resnet:resnet34", 3),
    "resnet50": ("resnet:resnet50", 3),
    "resnet101": ("resnet:resnet101", 3),
    "resnet152": ("resnet:resnet152", 3),
    "squeezenet1_0": ("squeezenet:squeezenet1_0", 3),
    "densenet121": ("densenet:densenet121", 3),
    "mobilenet_v2": ("mobilenet:mobilenet_v2", 3),
    "googlenet": ("googlenet:googlenet", 3),
    "inception_v3": ("inception:inception_v3", 3),
    "unet": ("unet:unet", 3),
    "unet_valid": ("unet:unet_valid", 1),
}


#: Training modes that each network is compared in: large ones are only evaluated.
MODES = [(name, False) for name in NETWORKS] + [
    (name, True)
    for name in NETWORKS
    if name not in ("resnet101", "resnet152", "vgg16", "unet_valid")
]


SOURCES = {
    "alexnet": "alexnet.py:alexnet",
    "vgg16": "vgg.py:vgg16",
    "resnet18": "resnet.py:resnet18",
    "resnet34": "resnet.py:resnet34",
    "resnet50": "resnet.py:resnet50",
    "resnet101": "resnet.py:resnet101",
    "resnet152": "resnet.py:resnet152",
    "densenet121": "densenet.py:densenet121",
    "squeezenet1_0": "squeezenet.py:squeezenet1_0",
    "mobilenet_v2": "mobilenet.py:mobilenet_v2",
    "googlenet": "googlenet.py:googlenet",
    "inception_v3": "inception.py:inception_v3",
    "unet": "unet.py:unet",
    "unet_valid": "unet.py:unet_valid",
    "article_a": "article_a.py:article_a",
    "article_a_fixed": "article_a.py:article_a_fixed",
    "article_a_halving": "article_a.py:article_a_halving",
    "article_a_halving_fixed": "article_a.py:article_a_halving_fixed",
    "article_b": "article_b.py:Net",
    "article_c": "article_c.py:Net",
    "article_d": "article_d.py:Net",
}
