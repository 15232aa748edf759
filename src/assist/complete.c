typedef int placeholder_complete;
