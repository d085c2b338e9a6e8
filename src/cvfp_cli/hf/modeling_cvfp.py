"""Context-vector fixed-point language models for the Transformers library.

This file stands alone: it needs torch and transformers, so that a model's folder holds a copy of it and loads with
``trust_remote_code=True``. It has the models that are trained by a recurrence over tokens: CVFP's blocks, and with
``kind`` "gru" or "lstm" torch's recurrent units. What a sequence leaves behind is a ``CVFPState`` of constant size.
``CVFPDecoderForCausalLM`` is the library's GPT-NeoX with a share of probability kept for unseen types.

Shapes in comments: B sequences, T tokens of each, K tokens a window, E embedding width, D context width, V tokens.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    GenerationMixin,
    GPTNeoXConfig,
    GPTNeoXModel,
    GPTNeoXPreTrainedModel,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.generation import utils as generation_utils
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils import ModelOutput

EPS = 1e-5
ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}
# Inputs of more than twice this many tokens are cut into chunks that run side by side.
CHUNK = 64
# What ``generate`` calls a state: it was renamed in the course of version 5.
CACHE = "cache" if "cache" in getattr(generation_utils, "ALL_CACHE_NAMES", ()) else "past_key_values"


class CVFPConfig(PretrainedConfig):
    """What a model is made of.

    Args:
        kind: "cvfp", "gru" or "lstm".
        vocab_size: V. embed_dim: E, the width of the table.
        layers: layers in each of the two blocks, or of the recurrent units.
        context_dim: D, of several blocks together. tokens: K, the input tokens of a step.
        token_input: which context layers read the tokens, "all_layers" or "first_layer".
        token_block: "standard", "early" or "mlp", whose hidden layer has width ``token_hidden``.
        activation: "relu" or "gelu".
        blocks: context widths of several ContextBlocks; empty for one. cascade: each but the first reads the context
            of the one before it.
        context: what the TokenBlock reads, the context "after" the current token, "before" it, or "zero".
        past_count, past_interval: earlier contexts that it reads besides, and the tokens between them.
        context_table: whether the ContextBlock reads a table of its own.
        width: of recurrent units.
        head: "tied" to the table, or "untied". head_bias: whether it has a bias.
        unseen_share: probability that the types which training lacks have together; None for the softmax's.
    """

    model_type = "cvfp"
    attribute_map = {"hidden_size": "embed_dim", "num_hidden_layers": "layers"}  # noqa: RUF012
    keys_to_ignore_at_inference = ["cache", "past_key_values"]  # noqa: RUF012

    def __init__(
        self,
        kind: str = "cvfp",
        vocab_size: int = 257,
        embed_dim: int = 64,
        layers: int = 1,
        context_dim: int = 64,
        tokens: int = 1,
        token_input: str = "all_layers",
        token_block: str = "standard",
        token_hidden: int = 2048,
        activation: str = "relu",
        blocks: Any = (),
        cascade: bool = False,
        context: str = "after",
        past_count: int = 0,
        past_interval: int = 1,
        context_table: bool = False,
        width: int = 64,
        head: str = "tied",
        head_bias: bool = False,
        unseen_share: float | None = None,
        **kwargs: Any,
    ) -> None:
        if kind not in ("cvfp", "gru", "lstm"):
            raise ValueError(f"there is no kind {kind!r} of model: cvfp, gru or lstm")
        self.kind = kind
        self.vocab_size = vocab_size
        self.embed_dim = embed_dim
        self.layers = layers
        self.context_dim = sum(blocks) if blocks else context_dim
        self.tokens = tokens
        self.token_input = token_input
        self.token_block = token_block
        self.token_hidden = token_hidden
        self.activation = activation
        self.blocks = list(blocks)
        self.cascade = cascade
        self.context = context
        self.past_count = past_count
        self.past_interval = past_interval
        self.context_table = context_table
        self.width = width
        self.head = head
        self.head_bias = head_bias
        self.unseen_share = unseen_share
        self.use_cache = kwargs.pop("use_cache", True)
        # A tied head reads the table itself: there is no second matrix that could come apart.
        kwargs["tie_word_embeddings"] = head == "tied"
        super().__init__(**kwargs)


class CVFPState:
    """What the tokens so far leave behind, in place of a cache of all of them.

    Attributes:
        seen: tokens so far, masked ones included.
        mark: a number for each sequence's tokens, (B,), by which a state is known to belong to them.
        tensors: what the model carries on, each with B first.
    """

    # What ``generate`` asks of a cache.
    is_linear = (True,)
    is_croppable = False
    is_compileable = False

    def __init__(self, seen: int, mark: Tensor, tensors: tuple[Tensor, ...]) -> None:
        self.seen = seen
        self.mark = mark
        self.tensors = tensors

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens so far."""
        return self.seen

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Take sequences in another order, (B,); beam search asks for it."""
        self.mark = self.mark.index_select(0, beam_idx.to(self.mark.device))
        self.tensors = tuple(one.index_select(0, beam_idx.to(one.device)) for one in self.tensors)


def mark(ids: Tensor, first: int) -> Tensor:
    """A number for tokens (B, T) that stand at ``first`` and behind it: (B,); those of parts add up."""
    places = torch.arange(first, first + ids.shape[1], device=ids.device)
    return ((ids + 1) * ((places * 1_000_003 + 12_345) % 2_147_483_647)).sum(1)


@dataclass
class CVFPOutput(ModelOutput):
    """What a model returns.

    Attributes:
        loss: mean cross-entropy in nats, where labels were given.
        logits: (B, T, V), or of the last tokens alone.
        cache: the state after the last token; ``past_key_values`` is its older name.
        contexts: c_t of every token, (B, T, D), where they were asked for.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    cache: CVFPState | None = None
    contexts: Tensor | None = None

    if not hasattr(ModelOutput, "past_key_values"):  # newer versions have it
        past_key_values = property(lambda self: self.cache)


class CVFPContextLayer(nn.Module):
    """u_i = LayerNorm(residual(u_{i-1}) + act(W·[u_{i-1}, x_t] + b))."""

    def __init__(self, width_in: int, width_out: int, window: int, activation: str) -> None:
        super().__init__()
        self.linear = nn.Linear(width_in + window, width_out)
        self.norm = nn.LayerNorm(width_out, eps=EPS)
        self.residual = nn.Linear(width_in, width_out) if width_in != width_out else None
        self.width_in = width_in
        self.reads_tokens = window > 0
        self.act = ACTIVATIONS[activation]

    def part(self, windows: Tensor) -> Tensor | None:
        """What windows (…, K·E) add to the product, the bias included: (…, width_out)."""
        if not self.reads_tokens:
            return None
        return F.linear(windows, self.linear.weight[:, self.width_in :], self.linear.bias)

    def forward(self, u: Tensor, part: Tensor | None) -> Tensor:
        """(n, width_in), and the windows' part -> (n, width_out)."""
        z = self.linear(u) if part is None else part + F.linear(u, self.linear.weight[:, : self.width_in])
        kept = u if self.residual is None else self.residual(u)
        return self.norm(kept + self.act(z))


class CVFPContextBlock(nn.Module):
    """Layers of contexts; the last one's output is c_t."""

    def __init__(self, config: CVFPConfig, width: int, width_in: int) -> None:
        super().__init__()
        window = config.tokens * config.embed_dim
        widths = [width_in] + [width] * config.layers
        if config.token_input == "first_layer":
            widths[1:] = [width + window - window * i // config.layers for i in range(1, config.layers + 1)]
        self.layers = nn.ModuleList(
            CVFPContextLayer(
                widths[i],
                widths[i + 1],
                window if i == 0 or config.token_input == "all_layers" else 0,
                config.activation,
            )
            for i in range(config.layers)
        )

    def parts(self, windows: Tensor) -> list[Tensor | None]:
        """``CVFPContextLayer.part`` of each layer."""
        return [layer.part(windows) for layer in self.layers]

    def forward(self, context: Tensor, parts: list[Tensor | None]) -> list[Tensor]:
        """c_{t-1} (n, D) -> [u_1, …, u_L], of which u_L is c_t."""
        outputs = [context]
        for layer, part in zip(self.layers, parts, strict=True):
            outputs.append(layer(outputs[-1], part))
        return outputs[1:]


class CVFPSideBySide(nn.Module):
    """Several ContextBlocks of one layer as one; in a cascade each but the first reads the context before its own."""

    def __init__(self, config: CVFPConfig) -> None:
        super().__init__()
        self.widths = list(config.blocks)
        self.cascade = config.cascade
        inputs = self.widths[:1] + (self.widths[:-1] if config.cascade else self.widths[1:])
        self.blocks = nn.ModuleList(
            CVFPContextBlock(config, width, given) for width, given in zip(self.widths, inputs, strict=True)
        )

    def parts(self, windows: Tensor) -> list[Tensor | None]:
        """``CVFPContextLayer.part`` of each block's layer."""
        return [part for block in self.blocks for part in block.parts(windows)]

    def forward(self, context: Tensor, parts: list[Tensor | None]) -> list[Tensor]:
        """C_{t-1} (n, D) -> [C_t]."""
        given = list(torch.split(context, self.widths, dim=-1))
        if self.cascade:
            given = given[:1] + given[:-1]
        outputs = [block(own, [part])[-1] for block, own, part in zip(self.blocks, given, parts, strict=True)]
        return [torch.cat(outputs, dim=-1)]


class CVFPTokenLayer(nn.Module):
    """v_i = LayerNorm(residual(v_{i-1}) + act(W·[u_i, v_{i-1}] + b)); "early" keeps the newest token in layer 1."""

    def __init__(
        self, context: int, width_in: int, width_out: int, activation: str, last_token: bool
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(context + width_in, width_out)
        self.norm = nn.LayerNorm(width_out, eps=EPS)
        learned = width_in != width_out and not last_token
        self.residual = nn.Linear(width_in, width_out) if learned else None
        self.act = ACTIVATIONS[activation]
        self.last_token = last_token

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """(n, context) and (n, width_in) -> (n, width_out)."""
        z = self.linear(torch.cat([u.to(v.dtype), v], dim=-1))
        kept = v if self.residual is None else self.residual(v)
        if self.last_token:
            kept = v[..., -z.shape[-1] :]
        return self.norm(kept + self.act(z))


def read_widths(config: CVFPConfig) -> list[int]:
    """Widths of what the TokenBlock's layers read of contexts."""
    widths = [config.context_dim] * config.layers
    if config.token_input == "first_layer":
        window = config.tokens * config.embed_dim
        widths = [
            config.context_dim + window - window * i // config.layers for i in range(1, config.layers + 1)
        ]
    if config.context == "before":
        widths[0] = config.context_dim
    widths[0] += config.past_count * config.context_dim
    return widths


class CVFPTokenBlock(nn.Module):
    """Layers from the window to what the head reads."""

    def __init__(self, config: CVFPConfig) -> None:
        super().__init__()
        window, width = config.tokens * config.embed_dim, config.embed_dim
        early = config.token_block == "early"
        narrower = [window - (window - width) * i // config.layers for i in range(config.layers + 1)]
        v = [window] + [width] * config.layers if early else narrower
        self.layers = nn.ModuleList(
            CVFPTokenLayer(read, v[i], v[i + 1], config.activation, last_token=early and i == 0)
            for i, read in enumerate(read_widths(config))
        )

    def forward(self, contexts: list[Tensor], window: Tensor) -> Tensor:
        """[u_1, …, u_L], or what stands for them, and x_t (n, K·E) -> v_L (n, E)."""
        v = window
        for layer, u in zip(self.layers, contexts, strict=True):
            v = layer(u, v)
        return v


class CVFPTokenMlp(nn.Module):
    """v = LayerNorm(e_t + W₂·GELU(W₁·[LayerNorm(c), x_t] + b₁) + b₂)."""

    def __init__(self, config: CVFPConfig) -> None:
        super().__init__()
        (read,) = read_widths(config)
        self.context_norm = nn.LayerNorm(read, eps=EPS)
        self.hidden = nn.Linear(read + config.tokens * config.embed_dim, config.token_hidden)
        self.out = nn.Linear(config.token_hidden, config.embed_dim)
        self.norm = nn.LayerNorm(config.embed_dim, eps=EPS)

    def forward(self, contexts: list[Tensor], window: Tensor) -> Tensor:
        """As ``CVFPTokenBlock.forward``."""
        (c,) = contexts
        hidden = F.gelu(self.hidden(torch.cat([self.context_norm(c.to(window.dtype)), window], dim=-1)))
        z = self.out(hidden)
        return self.norm(window[..., -z.shape[-1] :] + z)


def with_share(logits: Tensor, seen: Tensor, share: float) -> Tensor:
    """Logits (…, V) that give types which training lacks ``share`` of the probability, in equal parts.

    Those of the types seen, (V,), stay as they are. With Z the sum of their exponentials, each of n others has
    ln Z + ln(share / (1 − share) / n).
    """
    known = logits.masked_fill(~seen, -math.inf).logsumexp(-1, keepdim=True)
    others = (~seen).sum().to(known.dtype)
    return torch.where(seen, logits, known + (math.log(share / (1.0 - share)) - others.log()))


class CVFPHead(nn.Module):
    """logits = scale · (v · tableᵀ) + bias, and ``with_share`` where types that training lacks have one."""

    def __init__(self, config: CVFPConfig) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.head_bias else None
        shape = (config.vocab_size, config.embed_dim)
        self.weight = None if config.head == "tied" else nn.Parameter(torch.zeros(shape))
        self.share = config.unseen_share
        if self.share is not None:
            self.register_buffer("seen", torch.ones(config.vocab_size, dtype=torch.bool))

    def forward(self, v: Tensor, table: Tensor) -> Tensor:
        """(…, E) -> (…, V)."""
        logits = F.linear(v * self.scale, table if self.weight is None else self.weight, self.bias)
        return logits if self.share is None else with_share(logits, self.seen, self.share)


def one_by_one(block: nn.Module, parts: list[Tensor | None], context: Tensor) -> Tensor:
    """c_t of every token (B, T, D) from the context before them (B, D), step by step."""
    found = []
    for t in range(next(part.shape[1] for part in parts if part is not None)):
        context = block(context, [None if part is None else part[:, t] for part in parts])[-1]
        found.append(context)
    return torch.stack(found, dim=1)


def contexts_of(block: nn.Module, parts: list[Tensor | None], context: Tensor) -> Tensor:
    """``one_by_one``, for long inputs in chunks that run side by side.

    A trained block forgets, so chunks that start from zeros end in the right context all the same. What each started
    from is held against what the chunk before it ended in, and those that differ run again from there, until none
    does: in the worst case as many steps as tokens.
    """
    batch, tokens = next(part.shape[:2] for part in parts if part is not None)
    length = max(CHUNK, math.isqrt(16 * tokens))
    if tokens < 2 * length or any(part is not None and part.requires_grad for part in parts):
        return one_by_one(block, parts, context)
    chunks = -(-tokens // length)
    cut = [
        None
        if part is None
        else F.pad(part, (0, 0, 0, chunks * length - tokens)).view(batch * chunks, length, -1)
        for part in parts
    ]
    width = context.shape[1]
    starts = context.new_zeros(batch, chunks, width)
    starts[:, 0] = context
    found = context.new_empty(batch * chunks, length, width)
    running = torch.arange(batch * chunks, device=context.device)
    tolerance = 1e-12 if context.dtype == torch.float64 else 1e-6
    while len(running):
        own = [None if part is None else part[running] for part in cut]
        found[running] = one_by_one(block, own, starts.flatten(0, 1)[running]).to(found.dtype)
        ends = found.view(batch, chunks, length, width)[:, :-1, -1]
        apart = (ends - starts[:, 1:]).norm(dim=-1) > tolerance * ends.norm(dim=-1)
        starts[:, 1:] = torch.where(apart[..., None], ends, starts[:, 1:])
        running = F.pad(apart, (1, 0)).flatten().nonzero()[:, 0]
    return found.view(batch, chunks * length, width)[:, :tokens]


class CVFPForCausalLM(PreTrainedModel, GenerationMixin):
    """A recurrent language model that carries a state of constant size from token to token."""

    config_class = CVFPConfig
    main_input_name = "input_ids"
    _is_stateful = True  # a state cannot go back, so assisted generation refuses it
    _supports_cache_class = True
    _no_split_modules = ["CVFPContextBlock", "CVFPSideBySide", "CVFPTokenBlock", "CVFPTokenMlp", "CVFPHead"]  # noqa: RUF012

    def __init__(self, config: CVFPConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.embed_dim)
        if config.kind == "cvfp":
            width = config.context_dim
            self.context_embedding = None
            if config.context_table:
                self.context_embedding = nn.Embedding(config.vocab_size, config.embed_dim)
            self.context = CVFPSideBySide(config) if config.blocks else CVFPContextBlock(config, width, width)
            self.token = (CVFPTokenMlp if config.token_block == "mlp" else CVFPTokenBlock)(config)
        else:
            cells = nn.GRU if config.kind == "gru" else nn.LSTM
            self.norm = nn.LayerNorm(config.embed_dim, eps=EPS)
            self.cells = cells(config.embed_dim, config.width, config.layers, batch_first=True)
            narrow = config.width == config.embed_dim
            self.out = nn.Identity() if narrow else nn.Linear(config.width, config.embed_dim)
        self.head = CVFPHead(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        # Through torch.nn.init alone, which the library keeps off weights that were loaded.
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1)
            nn.init.normal_(module.bias, std=0.01)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.RNNBase):
            for parameter in module.parameters(recurse=False):
                nn.init.uniform_(parameter, -(module.hidden_size**-0.5), module.hidden_size**-0.5)
        elif isinstance(module, CVFPHead):
            nn.init.ones_(module.scale)
            for parameter in (module.bias, module.weight):
                if parameter is not None:
                    nn.init.zeros_(parameter)

    def get_input_embeddings(self) -> nn.Module:
        """The table."""
        return self.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Another table, of the same shape."""
        self.embedding = value

    def get_output_embeddings(self) -> None:
        """There is none: the head reads the table, or has a matrix of its own."""
        return None

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Refused: the head's bias and a second table would have to change with it."""
        raise NotImplementedError(
            "the vocabulary of a CVFP model is that of its tokenizer and cannot be resized"
        )

    def start(self, ids: Tensor) -> CVFPState:
        """The state before the first of ids (B, T)."""
        config, batch = self.config, len(ids)
        like = self.embedding.weight
        if config.kind == "cvfp":
            nothing = ids.new_full((batch, config.tokens - 1), config.vocab_size)
            kept = config.past_count * config.past_interval + 1
            tensors = (nothing, like.new_zeros(batch, kept, config.context_dim))
        else:
            zeros = like.new_zeros(batch, config.layers, config.width)
            tensors = (zeros,) if config.kind == "gru" else (zeros, zeros)
        return CVFPState(0, ids.new_zeros(batch), tensors)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: CVFPState | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        output_contexts: bool = False,
        return_dict: bool | None = None,
        cache: CVFPState | None = None,
        **kwargs: Any,
    ) -> CVFPOutput | tuple[Any, ...]:
        """Logits of the next token after each of ``input_ids``, (B, T).

        Args:
            attention_mask: 0 where there is no token: the state is held there, so padding on either side changes
                nothing. (B, T), or with the tokens before these, (B, seen + T).
            past_key_values: the state that earlier tokens left; ``cache`` is its newer name.
            labels: (B, T); -100 counts for nothing.
            logits_to_keep: logits of that many last tokens alone; 0 for all.
            output_contexts: return the contexts, too.
        """
        if input_ids is None:
            raise ValueError("a CVFP model reads token ids; inputs_embeds cannot stand for them")
        state = past_key_values if past_key_values is not None else cache
        if state is None:
            state = self.start(input_ids)
        tokens = input_ids.shape[1]
        run = self._blocks if self.config.kind == "cvfp" else self._cells
        mask = None if attention_mask is None else attention_mask[:, -tokens:].bool()
        if mask is None or bool(mask.all()):
            v, contexts, after = run(input_ids, state.tensors, None)
        else:
            # The tokens that there are move together, run, and go back to their places.
            order = torch.argsort((~mask).int(), dim=1, stable=True)
            v, contexts, after = run(input_ids.gather(1, order), state.tensors, mask.sum(1))
            back = torch.argsort(order, dim=1)[..., None]
            v = v.gather(1, back.expand_as(v))
            contexts = None if contexts is None else contexts.gather(1, back.expand_as(contexts))
        if use_cache is None:
            use_cache = self.config.use_cache and labels is None
        following = None
        if use_cache:
            following = CVFPState(state.seen + tokens, state.mark + mark(input_ids, state.seen), after)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.head(v[:, kept] if labels is None else v, self.embedding.weight)
        output = CVFPOutput(
            loss=None if labels is None else _loss(logits, labels, kwargs.get("num_items_in_batch")),
            logits=logits,
            cache=following,
            contexts=contexts if output_contexts else None,
        )
        return output if return_dict is None or return_dict else output.to_tuple()

    def _blocks(
        self, ids: Tensor, state: tuple[Tensor, ...], lengths: Tensor | None
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        """v (B, T, E), contexts (B, T, D) and the state after ``lengths`` tokens (B,), or after all."""
        config, (batch, tokens) = self.config, ids.shape
        earlier_ids, earlier = state  # (B, K - 1); the contexts before these tokens, (B, p·s + 1, D)
        known_ids = torch.cat([earlier_ids, ids], dim=1)
        windows = known_ids.unfold(1, config.tokens, 1)  # (B, T, K)
        x = _embedded(windows, self.embedding.weight)
        own = self.context_embedding
        parts = self.context.parts(x if own is None else _embedded(windows, own.weight))
        flat = [None if part is None else part.flatten(0, 1) for part in parts]
        if tokens == 1:
            read = self.context(earlier[:, -1], flat)
            contexts = read[-1][:, None]
            known = torch.cat([earlier, contexts.to(earlier.dtype)], dim=1)
        else:
            contexts = contexts_of(self.context, parts, earlier[:, -1])
            known = torch.cat([earlier, contexts.to(earlier.dtype)], dim=1)
            read = self.context(known[:, -tokens - 1 : -1].flatten(0, 1), flat)
        first = known.shape[1] - tokens
        if config.context == "before":
            first -= 1
            read[0] = known[:, first : first + tokens].flatten(0, 1)
        if config.past_count:
            distances = [j * config.past_interval for j in range(1, config.past_count + 1)]
            past = [known[:, first - far : first - far + tokens].flatten(0, 1) for far in distances]
            read[0] = torch.cat([read[0], *past], dim=1)
        if config.context == "zero":
            read = [torch.zeros_like(u) for u in read]
        v = self.token(read, x.flatten(0, 1)).view(batch, tokens, -1)
        if lengths is None:
            return v, contexts, (known_ids[:, tokens:], known[:, tokens:])
        last_ids, last = (
            lengths[:, None] + torch.arange(count, device=ids.device)
            for count in (earlier_ids.shape[1], earlier.shape[1])
        )
        kept = known.gather(1, last[..., None].expand(-1, -1, known.shape[2]))
        return v, contexts, (known_ids.gather(1, last_ids), kept)

    def _cells(
        self, ids: Tensor, state: tuple[Tensor, ...], lengths: Tensor | None
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        """As ``_blocks``; there are no contexts."""
        rows: Any = self.norm(self.embedding(ids))
        before = tuple(part.transpose(0, 1).contiguous() for part in state)
        if lengths is not None:
            # Of a sequence without any token one runs, whose state is then not taken.
            counts = lengths.clamp_min(1).cpu()
            rows = nn.utils.rnn.pack_padded_sequence(rows, counts, batch_first=True, enforce_sorted=False)
        outputs, after = self.cells(rows, before if len(before) > 1 else before[0])
        following = tuple(part.transpose(0, 1) for part in (after if len(before) > 1 else (after,)))
        if lengths is not None:
            outputs, _ = nn.utils.rnn.pad_packed_sequence(
                outputs, batch_first=True, total_length=ids.shape[1]
            )
            some = (lengths > 0)[:, None, None]
            following = tuple(torch.where(some, new, old) for new, old in zip(following, state, strict=True))
        return self.out(outputs), None, following

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: CVFPState | None = None,
        attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        cache: CVFPState | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The tokens that the state has not seen.

        Raises:
            ValueError: the state belongs to other tokens: a version of the library that does not reorder it.
        """
        state = past_key_values if past_key_values is not None else cache
        if state is not None:
            total = input_ids.shape[1] if attention_mask is None else attention_mask.shape[1]
            if total == input_ids.shape[1] and not torch.equal(
                mark(input_ids[:, : state.seen], 0), state.mark
            ):
                raise ValueError(
                    "the state is of other tokens than these: this version of transformers does not reorder the states "
                    "of beam search. Use num_beams=1 or use_cache=False."
                )
            input_ids = input_ids[:, state.seen - total :]
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "past_key_values": state,
            "use_cache": use_cache,
            "logits_to_keep": 1,
        }

    def _update_model_kwargs_for_generation(
        self,
        outputs: Any,
        model_kwargs: dict[str, Any],
        is_encoder_decoder: bool = False,
        num_new_tokens: int = 1,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if outputs.cache is not None:
            model_kwargs[CACHE] = outputs.cache
        mask = model_kwargs.get("attention_mask")
        if mask is not None:
            model_kwargs["attention_mask"] = F.pad(mask, (0, num_new_tokens), value=1)
        return model_kwargs

    # Older versions count a cache's positions and newer ones make a cache; a state needs neither.
    def _get_initial_cache_position(self, *given: Any) -> dict[str, Any]:
        return given[-1]

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    @staticmethod
    def _reorder_cache(past_key_values: CVFPState, beam_idx: Tensor) -> CVFPState:
        past_key_values.reorder_cache(beam_idx)
        return past_key_values


class CVFPDecoderConfig(GPTNeoXConfig):
    """The library's configuration of GPT-NeoX, with ``unseen_share`` as in ``CVFPConfig``."""

    model_type = "cvfp_decoder"

    def __init__(self, unseen_share: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.unseen_share = unseen_share


class CVFPDecoderForCausalLM(GPTNeoXPreTrainedModel, GenerationMixin):
    """The library's GPT-NeoX, with a share of probability kept for the types that training lacks."""

    config_class = CVFPDecoderConfig

    def __init__(self, config: CVFPDecoderConfig) -> None:
        super().__init__(config)
        self.gpt_neox = GPTNeoXModel(config)
        self.out = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.register_buffer("seen", torch.ones(config.vocab_size, dtype=torch.bool))
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Logits of the next token after each of ``input_ids``, (B, T), as GPT-NeoX of the library has them."""
        counted = kwargs.pop("num_items_in_batch", None)
        outputs = self.gpt_neox(
            input_ids,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            return_dict=True,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        hidden = outputs.last_hidden_state
        logits = self.out(hidden[:, kept] if labels is None else hidden)
        logits = with_share(logits, self.seen, self.config.unseen_share)
        output = CausalLMOutputWithPast(
            loss=None if labels is None else _loss(logits, labels, counted),
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        return output if return_dict is None or return_dict else output.to_tuple()


def _embedded(windows: Tensor, table: Tensor) -> Tensor:
    """x_t of windows (B, T, K): normalised rows of the table, zeros before the start; (B, T, K·E)."""
    inside = windows < len(table)
    rows = F.embedding(windows.clamp_max(len(table) - 1), table)
    rows = F.layer_norm(rows, rows.shape[-1:], eps=EPS)
    return (rows * inside[..., None]).flatten(2)


def _loss(logits: Tensor, labels: Tensor, counted: Any = None) -> Tensor:
    """Mean cross-entropy of labels (B, T) against the logits one token before, or its sum over ``counted``."""
    wanted = labels[:, 1:].flatten().to(logits.device)
    total = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), wanted, reduction="sum")
    return total / ((wanted != -100).sum() if counted is None else counted)
