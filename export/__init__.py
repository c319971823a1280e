"""sortnet.export: networks as ONNX files that certify, and the runtime that needs no torch."""
