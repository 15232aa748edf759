typedef int placeholder_registry;
