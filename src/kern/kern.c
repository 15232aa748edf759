typedef int placeholder_kern;
