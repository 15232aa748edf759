typedef int placeholder_sampler;
