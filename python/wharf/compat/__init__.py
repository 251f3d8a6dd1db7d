"""Interfaces of older programs under their own names, each a face on libwharf:

`llm_gate`: a priority gate in front of an engine that serves one request at a time.
`gpu_resource_manager`: modes of a program with a large model in Ollama and a small movable one.
`gpu_manager`: device selection, statistics, and admission of jobs by count and memory.

A program switches by its imports alone; docs/python.md shows each before and after.
"""

from .gpu_manager import (GPUManager, GPUMemoryManager, ResourcesExhausted, get_gpu_manager)
from .gpu_resource_manager import (CLIPManager, ExecutionMode, GPUResourceConfig, GPUResourceManager,
                                   GPUResourceStatus, ModelState, OllamaManager,
                                   ResourceChangedEvent, VRAMInfo, VRAMMonitor)
from .llm_gate import (DEFAULT_PRIORITY, Priority, _reset_for_test, acquire_mlx_gate, get_mlx_gate)

__all__ = [
    "CLIPManager", "DEFAULT_PRIORITY", "ExecutionMode", "GPUManager", "GPUMemoryManager",
    "GPUResourceConfig", "GPUResourceManager", "GPUResourceStatus", "ModelState", "OllamaManager",
    "Priority", "ResourceChangedEvent", "ResourcesExhausted", "VRAMInfo", "VRAMMonitor",
    "_reset_for_test", "acquire_mlx_gate", "get_gpu_manager", "get_mlx_gate",
]
