"""State dicts in mmpretrain's format, and its forward pass."""

import torch
import torch.nn.functional as F


def mm_convnext(depths, widths):
    """List names and shapes of mmpretrain's ConvNeXt with a head of two logits."""
    shapes = {
        "backbone.downsample_layers.0.0": (widths[0], 3, 4, 4),
        "backbone.downsample_layers.0.1": (widths[0],),
    }
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            shapes[f"backbone.downsample_layers.{stage}.0"] = (widths[stage - 1],)
            shapes[f"backbone.downsample_layers.{stage}.1"] = (width, widths[stage - 1], 2, 2)
        for block in range(depth):
            place = f"backbone.stages.{stage}.{block}"
            shapes[f"{place}.depthwise_conv"], shapes[f"{place}.norm"] = (width, 1, 7, 7), (width,)
            shapes[f"{place}.pointwise_conv1"], shapes[f"{place}.pointwise_conv2"] = (
                (4 * width, width),
                (width, 4 * width),
            )
    shapes["backbone.norm3"], shapes["head.fc"] = (widths[-1],), (2, widths[-1])
    entries = {f"{name}.weight": shape for name, shape in shapes.items()} | {
        f"{name}.bias": shape[:1] for name, shape in shapes.items()
    }
    gammas = {
        f"backbone.stages.{s}.{b}.gamma": (widths[s],)
        for s, depth in enumerate(depths)
        for b in range(depth)
    }
    return entries | gammas


def mm_clip(width, depth, patch, tokens):
    """List names and shapes of mmpretrain's vision transformer with CLIP's first norm."""
    shapes = {"backbone.pre_norm": (width,), "backbone.ln1": (width,), "head.fc": (2, width)}
    for layer in range(depth):
        place = f"backbone.layers.{layer}"
        shapes[f"{place}.ln1"], shapes[f"{place}.ln2"] = (width,), (width,)
        shapes[f"{place}.attn.qkv"], shapes[f"{place}.attn.proj"] = (
            (3 * width, width),
            (width, width),
        )
        shapes[f"{place}.ffn.layers.0.0"], shapes[f"{place}.ffn.layers.1"] = (
            (4 * width, width),
            (width, 4 * width),
        )
    entries = {f"{name}.weight": shape for name, shape in shapes.items()} | {
        f"{name}.bias": shape[:1] for name, shape in shapes.items()
    }
    alone = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, tokens, width),
        "patch_embed.projection.weight": (width, 3, patch, patch),
    }
    return entries | {f"backbone.{name}": shape for name, shape in alone.items()}


def drawn(shapes):
    source = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=source) * 0.2 for name, shape in shapes.items()}


def norm_over_channels(x, state, name):
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return F.layer_norm(x.permute(0, 2, 3, 1), weight.shape, weight, bias, 1e-6).permute(0, 3, 1, 2)


def mm_convnext_answers(state, depths, images):
    """Compute mmpretrain's two logits, generated and real, from its parameter names."""
    x = images
    for stage, depth in enumerate(depths):
        place = f"backbone.downsample_layers.{stage}"
        if stage:
            x = norm_over_channels(x, state, f"{place}.0")
            x = F.conv2d(x, state[f"{place}.1.weight"], state[f"{place}.1.bias"], stride=2)
        else:
            x = norm_over_channels(
                F.conv2d(x, state[f"{place}.0.weight"], state[f"{place}.0.bias"], stride=4),
                state,
                f"{place}.1",
            )
        for block in range(depth):
            name = f"backbone.stages.{stage}.{block}"
            y = F.conv2d(
                x,
                state[f"{name}.depthwise_conv.weight"],
                state[f"{name}.depthwise_conv.bias"],
                padding=3,
                groups=x.shape[1],
            )
            y = norm_over_channels(y, state, f"{name}.norm").permute(0, 2, 3, 1)
            y = F.gelu(
                F.linear(
                    y,
                    state[f"{name}.pointwise_conv1.weight"],
                    state[f"{name}.pointwise_conv1.bias"],
                )
            )
            y = (
                F.linear(
                    y,
                    state[f"{name}.pointwise_conv2.weight"],
                    state[f"{name}.pointwise_conv2.bias"],
                )
                * state[f"{name}.gamma"]
            )
            x = x + y.permute(0, 3, 1, 2)
    pooled = norm_over_channels(x.mean((2, 3), keepdim=True), state, "backbone.norm3").flatten(1)
    return F.linear(pooled, state["head.fc.weight"], state["head.fc.bias"])
