// What a library frees that its program made; see mixed_operators.cc.
void drop(char *block)
{
	delete[] block;
}

void drop(long *object)
{
	delete object;
}
