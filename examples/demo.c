/* Looks words up in a sorted list. */
#include <stdio.h>
#include <string.h>

/* Returns the index of `word` in the sorted array `words`, or -1 if it is not there. */
static int find_word(const char *const *words, int count, const char *word)
{
    int low = 0, high = count - 1;
    while (low <= high) {
        <|cursor|>
    }
    return -1;
}

int main(void)
{
    const char *const fruit[] = {"apple", "banana", "cherry", "date", "fig", "grape", "lemon"};
    const int count = sizeof fruit / sizeof fruit[0];

    printf("date is at %d\n", find_word(fruit, count, "date"));
    printf("plum is at %d\n", find_word(fruit, count, "plum"));
    return 0;
}
