// Frees memory that the main program allocated; see mixed_operators.cc.
void drop(char *block)
{
	delete[] block;
}

void drop(long *object)
{
	delete object;
}
