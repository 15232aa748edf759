typedef int placeholder_gguf;
