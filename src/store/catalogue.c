typedef int placeholder_catalogue;
